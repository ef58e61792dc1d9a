"""A run's configuration: any object that a training has it in → plain data without secrets."""

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ups.tracking.values as values
from ups.errors import InvalidValue, UsageError
from ups.extras import require
from ups.text import shown

__all__ = ["MASK", "plain_config", "sweep_parameters"]

MASK = "********"

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_SECRET_WORDS = frozenset(
    {"authorization", "credential", "credentials", "passphrase", "passwd", "password", "pwd", "secret", "secrets"}
)
# "key", "tokens" and "pass" are secret after one of these words; after others they belong to data or a network.
_SECRET_KEYS = frozenset(
    [
        "access",
        "admin",
        "anthropic",
        "api",
        "auth",
        "aws",
        "azure",
        "database",
        "db",
        "encryption",
        "github",
        "hf",
        "huggingface",
        "openai",
        "private",
        "secret",
        "signing",
        "ssh",
        "wandb",
    ]
)
_TEXT_TOKENS = frozenset(
    [
        "additional",
        "begin",
        "bos",
        "boi",
        "cls",
        "decoder",
        "eod",
        "eoi",
        "eos",
        "end",
        "extra",
        "forced",
        "image",
        "mask",
        "next",
        "num",
        "pad",
        "prefix",
        "prompt",
        "sep",
        "special",
        "start",
        "stop",
        "suffix",
        "suppress",
        "unk",
    ]
)


def plain_config(config: Any) -> dict[str, Any]:
    """Turn ``config`` into a dictionary of plain data, with the values of secret keys masked.

    Accepts None, a mapping, a dataclass, an ``argparse.Namespace``, an OmegaConf configuration, or a pydantic
    model. Numbers, text, truth values, None, lists and dictionaries are kept; a number of NumPy or torch becomes
    a number; anything else becomes its text.

    Raises:
        UsageError: ``config`` is not one of these, or contains itself.
    """
    try:
        plain = _plain("", _as_mapping(config))
    except RecursionError:
        raise UsageError("config contains itself, or is nested too deeply to be kept: leave that part out") from None
    assert isinstance(plain, dict)
    return plain


def sweep_parameters() -> dict[str, Any]:
    """The parameters that a sweep's agent chose for this process; empty outside a sweep.

    The agent writes them to the YAML file that ``WANDB_SWEEP_PARAM_PATH`` names, each under ``value``.

    Raises:
        UsageError: The file cannot be read.
    """
    path = os.environ.get("WANDB_SWEEP_PARAM_PATH")
    if not path:
        return {}
    require("wandb", "yaml", user="a sweep")
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        return {
            name: entry["value"] if isinstance(entry, dict) and "value" in entry else entry
            for name, entry in content.items()
            if name != "wandb_version"
        }
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise UsageError(
            f"WANDB_SWEEP_PARAM_PATH names {path}, which cannot be read as a sweep's parameters: {error}"
        ) from error


def is_secret(key: str, value: Any) -> bool:
    """True where ``key`` names a secret: ``api_key`` and ``hfToken`` do, ``eos_token`` and ``max_tokens`` do not."""
    if value is None or isinstance(value, bool):
        return False
    words = [word.lower() for word in _WORDS.findall(key)]
    if not words:
        return False
    if not _SECRET_WORDS.isdisjoint(words) and not isinstance(value, (Mapping, list, tuple)):
        return True
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in ("key", "keys"):
        return before in _SECRET_KEYS
    if last in ("tokens", "pass"):
        return before in _SECRET_KEYS and isinstance(value, str)
    if last in ("apikey", "accesskey", "authtoken", "accesstoken"):
        return True
    return last == "token" and isinstance(value, str) and _TEXT_TOKENS.isdisjoint(words)


def _as_mapping(config: Any) -> Mapping[Any, Any]:
    if config is None:
        return {}
    if isinstance(config, Mapping) and not type(config).__module__.startswith("omegaconf"):
        return config
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    if isinstance(config, argparse.Namespace):
        return vars(config)
    if type(config).__module__.startswith("omegaconf"):
        container = sys.modules["omegaconf"].OmegaConf.to_container(config, resolve=True)
        if isinstance(container, Mapping):
            return container
    dump = getattr(config, "model_dump", None)
    if callable(dump) and not isinstance(config, type):
        dumped = dump()
        if isinstance(dumped, Mapping):
            return dumped
    raise UsageError(
        f"config is {shown(config)} ({type(config).__name__}): pass a dictionary, a dataclass, an argparse"
        " namespace or an OmegaConf configuration"
    )


def _plain(key: str, value: Any) -> Any:
    if is_secret(key, value):
        return MASK
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(key, v) for v in (value if isinstance(value, (list, tuple)) else sorted(value, key=repr))]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(key, dataclasses.asdict(value))
    try:
        return values.number(value)
    except InvalidValue:
        return str(value)

"""A run's manifest, ``run.json``: written by the training, and read from anyone as far as that is safe."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ups.charts import check_stage_name
from ups.credentials import without_user
from ups.errors import RunDirectoryError
from ups.journal.untrusted import is_finite, is_text, is_text_or_none, parse
from ups.journal.wandb_limits import check_project, check_tag, passes

__all__ = ["OF_THE_RUN", "RunManifest", "manifest_from", "manifest_text"]

_SCHEMA = 1

# The variables that a run may set where it is delivered: those about the run alone. An address, a key, a path or a
# loader's variable from a run's directory would act on the deliverer's machine, or with the deliverer's credentials.
OF_THE_RUN = frozenset(
    [
        "WANDB_DESCRIPTION",
        "WANDB_DISABLE_CODE",
        "WANDB_DISABLE_GIT",
        "WANDB_ENTITY",
        "WANDB_IGNORE_GLOBS",
        "WANDB_JOB_TYPE",
        "WANDB_NAME",
        "WANDB_NOTES",
        "WANDB_PROJECT",
        "WANDB_RUN_GROUP",
        "WANDB_SWEEP_ID",
        "WANDB_TAGS",
    ]
)


@dataclass(frozen=True, kw_only=True)
class RunManifest:
    """The content of ``run.json``: everything that delivery needs to make the W&B run a plain one.

    Attributes:
        base_url: The W&B server that the training had configured, if any.
        repeated: The attempts that are drawn of a step that is logged again: ``first`` or ``all``.
        guarded: False where a test recorded a script without UPS's guard, so that its rows are those of plain wandb.
        program_path: The program, relative to the git root or the working directory.
        environment: The variables of :data:`OF_THE_RUN` that were set.
        problems: A sentence for each part of the file that could not be taken; not written.
        unreadable: Why the file cannot be read, or not all of it; None if it can. Not written.
    """

    run_id: str
    mode: str
    created: float  # seconds since 1970
    stages: tuple[str, ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    project: str | None = None
    entity: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    group: str | None = None
    repeated: str = "first"
    guarded: bool = True
    base_url: str | None = None
    host: str = ""
    program: str | None = None
    program_path: str | None = None
    arguments: tuple[str, ...] = ()
    executable: str = ""
    python: str = ""
    working_directory: str = ""
    git_root: str | None = None
    git_commit: str | None = None
    git_remote: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unreadable: str | None = None


def manifest_text(manifest: RunManifest) -> str:
    """Write ``manifest`` as the text of ``run.json``."""
    content = {"schema": _SCHEMA, **dataclasses.asdict(manifest)}
    del content["problems"], content["unreadable"]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode() + "\n"  # an argument may hold any bytes, and wandb takes text


def manifest_from(content: bytes, *, run_id: str, created: float, source: str) -> RunManifest:
    """Read the manifest in the bytes of ``run.json``. Values of the wrong kind are left out, and noted as a problem.

    ``run_id`` and ``created`` stand where the file gives none; ``source`` is the file's name in messages.

    Raises:
        RunDirectoryError: The file is of a newer schema than this UPS knows.
    """
    problems: list[str] = []
    unreadable = None
    try:
        held = parse(content)
        if not isinstance(held, dict):
            raise ValueError("it is not a JSON object")
    except ValueError as error:
        held, unreadable = {}, str(error)
        problems.append(f"{source} cannot be read ({error}): the run is read from its directory and its journals")
    schema = held.get("schema")
    if isinstance(schema, int) and schema > _SCHEMA:
        raise RunDirectoryError(f"{source} was written by a newer UPS (schema {schema}): upgrade")
    values: dict[str, Any] = {}
    wrong = []
    for name, takes in _TAKES.items():
        if name in held:
            value = tuple(held[name]) if isinstance(held[name], list) else held[name]
            if takes(value):
                values[name] = value
            else:
                wrong.append(name)
    if wrong:
        unreadable = f"it has no usable {', '.join(wrong)}"
        problems.append(f"{source} has no usable {', '.join(wrong)}: left out")
    given = values.get("environment", {})
    foreign = sorted(name for name in given if not name.startswith("WANDB_"))
    if foreign:
        problems.append(f"{source} sets {', '.join(foreign)[:200]}: left out, since a run may set only W&B's own")
    base_url = values.get("base_url") or given.get("WANDB_BASE_URL")  # an older UPS had it there
    values["base_url"] = without_user(base_url) if base_url else None
    values["environment"] = {name: value for name, value in given.items() if _may_be_set(name, value)}
    defaults = {"run_id": run_id, "mode": "local", "created": created}
    return RunManifest(**{**defaults, **values}, problems=tuple(problems), unreadable=unreadable)


def _may_be_set(name: str, value: str) -> bool:
    """True where a variable is about the run alone, with a value that W&B takes."""
    if name == "WANDB_PROJECT":
        return passes(check_project, value)
    if name == "WANDB_TAGS":
        return all(passes(check_tag, tag) for tag in value.split(","))
    return name in OF_THE_RUN


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and all(map(is_text, value))


_TAKES: dict[str, Callable[[Any], bool]] = {
    "run_id": lambda value: is_text(value) and 1 <= len(value) <= 128 and "/" not in value,
    "mode": lambda value: value in ("online", "offline", "local"),
    "created": is_finite,
    "stages": lambda value: _are_texts(value) and all(passes(check_stage_name, each) for each in value),
    "config": lambda value: isinstance(value, dict),
    "project": lambda value: is_text_or_none(value) and passes(check_project, value),
    "tags": lambda value: _are_texts(value) and all(passes(check_tag, each) for each in value),
    "repeated": lambda value: value in ("first", "all"),
    "guarded": lambda value: isinstance(value, bool),
    "arguments": _are_texts,
    "environment": lambda value: isinstance(value, dict) and _are_texts((*value, *value.values())),
    **dict.fromkeys(("host", "executable", "python", "working_directory"), is_text),
    **dict.fromkeys(("entity", "name", "group", "base_url", "program", "program_path"), is_text_or_none),
    **dict.fromkeys(("git_root", "git_commit", "git_remote"), is_text_or_none),
}

"""The configuration of a training run: a preset in YAML, with overrides by dotted key.

A configuration is a tree of frozen dataclasses. It comes from a preset (:func:`load`) or from the plain
dictionary that a checkpoint holds (:func:`from_dict`), and both are checked the same way: an unknown key, a
missing one, or a value of the wrong type is a :class:`~ups.errors.ConfigError` that names the key.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from ups.errors import ConfigError
from ups.simulator.solver import PROBLEMS

__all__ = [
    "Config",
    "DataConfig",
    "DilatedConfig",
    "FourierConfig",
    "ModelConfig",
    "StageConfig",
    "StagesConfig",
    "TrainingConfig",
    "from_dict",
    "load",
    "nearest",
    "presets",
]

_BACKBONES = ("dilated", "fno")
_PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class DataConfig:
    """The number of solutions to learn from and to be tested on.

    Attributes:
        points: Grid points of a state.
        train_trajectories: Solutions in the training set.
        train_frames: Frames of each of them.
        validation_trajectories: Solutions, each of four pairs of frames, that measure a stage's progress.
        test_trajectories: Solutions in the test set, which is the same for every seed.
        test_steps: The time steps of a rollout beside them.
    """

    points: int
    train_trajectories: int
    train_frames: int
    validation_trajectories: int
    test_trajectories: int
    test_steps: int


@dataclass(frozen=True)
class DilatedConfig:
    """The dilated residual network, of ``width`` channels.

    Attributes:
        kernel: Points that a layer looks at, an odd number.
        dilations: The distance between these points, one number per layer.
    """

    width: int
    kernel: int
    dilations: tuple[int, ...]


@dataclass(frozen=True)
class FourierConfig:
    """The Fourier neural operator, of ``width`` channels.

    A layer mixes as many of the longest waves as ``modes``, with the mean; at most ``points // 2 + 1`` count.
    """

    width: int
    modes: int
    layers: int


@dataclass(frozen=True)
class ModelConfig:
    """The network that all models share.

    Attributes:
        backbone: ``dilated`` or ``fno``.
        noise_levels: Standard deviations that ``diffusion_residual`` learns to remove, from large to small, in
            units of the operator's own residual.
    """

    backbone: str
    noise_levels: tuple[float, ...]
    dilated: DilatedConfig
    fno: FourierConfig


@dataclass(frozen=True)
class StageConfig:
    """The length of a stage, and its largest learning rate."""

    steps: int
    learning_rate: float


@dataclass(frozen=True)
class StagesConfig:
    """The three stages, in the order they are trained."""

    operator: StageConfig
    diffusion_residual: StageConfig
    consistency_distill: StageConfig


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of the training loop, in every stage.

    Attributes:
        batch: Pairs of states in a step, of each process.
        accumulate: Parts that a batch is worked through in, one after the other: less memory, the same step.
        warmup: Steps in which the learning rate rises, before it falls along a cosine.
        clip: The largest norm of a gradient.
        average: Decay per step of the moving average of the weights; the average is what a stage hands on.
        health_every: Steps between two measurements of the stage's health; half of a shorter stage.
        save_every: Steps between two checkpoints.
        threads: Threads of the CPU that PyTorch may use, shared by the processes of a machine; results are the same
            bit for bit only for equal threads.
        precision: ``float32``, or ``bfloat16`` for products of matrices in mixed precision.
        compile: True to make the loss faster with ``torch.compile``, which takes a minute first, and needs a compiler.
    """

    batch: int
    accumulate: int
    warmup: int
    clip: float
    average: float
    health_every: int
    save_every: int
    threads: int
    precision: str
    compile: bool


@dataclass(frozen=True)
class Config:
    """All that decides the outcome of a training run."""

    problem: str
    seed: int
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    stages: StagesConfig


def presets() -> list[str]:
    """The names of the presets that come with the package."""
    folder = resources.files("ups.simulator") / "presets"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def nearest(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'? (one of: x, y, z)``: the end of a message about a name that is not ``known``."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    question = f", did you mean {close[0]!r}?" if close else ""
    return f"{question} (one of: {', '.join(names)})"


def load(preset: str, overrides: Iterable[str] = ()) -> Config:
    """A preset's configuration, with overrides such as ``"stages.operator.steps=500"``.

    Raises:
        ConfigError: The preset or a key does not exist, or a value does not fit its key.
    """
    if preset not in presets():
        raise ConfigError(f"there is no preset {preset!r}{nearest(preset, presets())}")
    text = (resources.files("ups.simulator") / "presets" / f"{preset}.yaml").read_text(encoding="utf-8")
    tree = yaml.safe_load(text)
    for override in overrides:
        _override(tree, override)
    return from_dict(tree)


def from_dict(tree: Mapping[str, Any]) -> Config:
    """The configuration in a plain dictionary, as ``dataclasses.asdict`` gives it.

    Raises:
        ConfigError: A key is unknown or missing, or a value does not fit.
    """
    config = _build(Config, tree, "")
    assert isinstance(config, Config)
    _check(config)
    return config


def _override(tree: dict[str, Any], override: str) -> None:
    """Set one ``key=value`` in a nested dictionary, the value read as YAML."""
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"{override!r} sets nothing: write key=value, as in 'stages.operator.steps=500'")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key} = {text!r} is not YAML") from error
    *path, last = key.strip().split(".")
    branch: Any = tree
    for depth, part in enumerate([*path, last]):
        if not isinstance(branch, dict):
            raise ConfigError(f"{'.'.join([*path, last][:depth])!r} is one value, so {key!r} is not a key")
        if part not in branch:
            raise ConfigError(f"there is no key {key!r}{nearest(key, _leaves(tree))}")
        if depth < len(path):
            branch = branch[part]
    if isinstance(branch[last], dict) and not isinstance(value, dict):
        raise ConfigError(f"{key!r} is a group: set one of {', '.join(_leaves(branch[last], f'{key}.'))}")
    branch[last] = value


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all values in a nested dictionary."""
    names: list[str] = []
    for key, value in tree.items():
        names += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return names


def _build(kind: Any, value: Any, key: str) -> Any:
    """``value`` as an instance of ``kind``: a dataclass, a tuple of numbers, a number or a string."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, key)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or not value:
            raise ConfigError(f"{key} = {value!r} is not a list: write it as [1, 2, 4]")
        return tuple(_build(get_args(kind)[0], item, f"{key}[{index}]") for index, item in enumerate(value))
    if kind is float and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3, without a point, as a string
        except ValueError:
            pass
    if type(value) is not kind:
        names = {int: "a whole number", float: "a number", str: "a name", bool: "true or false"}
        raise ConfigError(f"{key} = {value!r} is not {names[kind]}")
    return value


def _build_dataclass(kind: Any, value: Any, key: str) -> Any:
    prefix = f"{key}." if key else ""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key or 'the configuration'} = {value!r} is not a group of keys")
    types = get_type_hints(kind)
    for name in value:
        if name not in types:
            known = [f"{prefix}{field}" for field in types]
            raise ConfigError(f"there is no key {f'{prefix}{name}'!r}{nearest(f'{prefix}{name}', known)}")
    for name in types:
        if name not in value:
            raise ConfigError(f"the key {f'{prefix}{name}'!r} is missing")
    return kind(**{name: _build(types[name], item, f"{prefix}{name}") for name, item in value.items()})


def _check(config: Config) -> None:
    """Raise ConfigError for a value that has the right type and still cannot work."""
    for key, value in _numbers(dataclasses.asdict(config)):
        if key == "seed":
            if value < 0:
                raise ConfigError(f"seed = {value}: use 0 or more")
        elif not 0 < value < float("inf"):
            raise ConfigError(f"{key} = {value}: use a number above 0")
    if config.problem not in PROBLEMS:
        raise ConfigError(f"there is no problem {config.problem!r}{nearest(config.problem, PROBLEMS)}")
    PROBLEMS[config.problem].check_points(config.data.points)
    _check_choice("model.backbone", config.model.backbone, _BACKBONES)
    _check_choice("training.precision", config.training.precision, _PRECISIONS)
    kernel, furthest = config.model.dilated.kernel, max(config.model.dilated.dilations)
    if kernel % 2 == 0:
        raise ConfigError(f"model.dilated.kernel = {kernel}: use an odd number, so that a layer has a centre")
    if kernel // 2 * furthest > config.data.points:
        raise ConfigError(
            f"model.dilated.dilations has {furthest}: with a kernel of {kernel} that looks around the circle of"
            f" {config.data.points} points more than once; use at most {config.data.points // (kernel // 2)}"
        )
    if config.training.batch % config.training.accumulate:
        raise ConfigError(
            f"training.accumulate = {config.training.accumulate}: use a number that divides"
            f" training.batch = {config.training.batch}"
        )
    if config.training.average >= 1:
        raise ConfigError(f"training.average = {config.training.average}: use a decay below 1")
    levels = config.model.noise_levels
    if list(levels) != sorted(set(levels), reverse=True):
        raise ConfigError(f"model.noise_levels = {list(levels)}: let them fall, as in [2, 0.4, 0.08]")
    if config.data.train_frames < 2:
        raise ConfigError("data.train_frames = 1: use at least 2, a state and the one after it")


def _check_choice(key: str, value: str, choices: Iterable[str]) -> None:
    if value not in choices:
        raise ConfigError(f"there is no {key} {value!r}{nearest(value, choices)}")


def _numbers(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Every number in a nested dictionary, with its dotted name."""
    found: list[tuple[str, float]] = []
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            found += _numbers(value, f"{key}.")
        elif isinstance(value, tuple):
            found += [(f"{key}[{index}]", item) for index, item in enumerate(value)]
        elif not isinstance(value, str | bool):
            found.append((key, value))
    return found

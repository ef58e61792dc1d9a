"""Checkpoints: all that a stage needs to resume as if it had never stopped."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ups.durable import whole_file
from ups.errors import RunDirectoryError
from ups.simulator.config import Config, from_dict

__all__ = ["Checkpoint", "checkpoint_path", "load_checkpoint", "save_checkpoint"]

_VERSION = 2


@dataclass(frozen=True)
class Checkpoint:
    """A stage after ``step`` of its ``steps``.

    Attributes:
        model, average: Weights and buffers of the model, and of its moving average.
        generator: State of the generator that draws batches and noise, uint8.
        processes: The number of processes that trained it together, each with a batch of its own.
    """

    stage: str
    step: int
    steps: int
    config: Config
    model: dict[str, Any]
    average: dict[str, Any]
    optimizers: list[dict[str, Any]]
    generator: torch.Tensor
    processes: int

    @property
    def finished(self) -> bool:
        """True where the stage has done all its steps."""
        return self.step >= self.steps


def checkpoint_path(run_dir: Path, stage: str) -> Path:
    """The file in which a run keeps the checkpoint of a stage."""
    return run_dir / "checkpoints" / f"{stage}.pt"


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that ``path`` holds the old one or the new one, never a part.

    Raises:
        RunDirectoryError: The file cannot be written.
    """
    content = {name: getattr(checkpoint, name) for name in checkpoint.__dataclass_fields__}
    content |= {"version": _VERSION, "config": asdict(checkpoint.config)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            torch.save(content, file)
    except OSError as error:
        raise RunDirectoryError(f"cannot write the checkpoint {path}: {error}") from error


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The checkpoint in a file; None if there is no such file. Only data is loaded, never code.

    Raises:
        RunDirectoryError: The file is not a checkpoint of this version of the simulator.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise RunDirectoryError(f"{path} is not a regular file: it is not read")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content.pop("version") != _VERSION:
            raise RunDirectoryError(f"{path} was written by another version of the simulator: train it again")
        return Checkpoint(**(content | {"config": from_dict(content["config"])}))
    except RunDirectoryError:
        raise
    except Exception as error:  # a damaged file makes torch.load raise almost anything
        raise RunDirectoryError(f"cannot read the checkpoint {path}: {error}") from error

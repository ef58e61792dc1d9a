"""``ups`` in the process of the tests, which has imported PyTorch: a process of its own takes seconds to do so."""

from pathlib import Path
from typing import Protocol

__all__ = ["UPSHere"]


class UPSHere(Protocol):
    """Runs ``ups`` in a folder, by default tracked into a journal alone, and returns what it printed."""

    def __call__(self, *arguments: str, folder: Path, mode: str = "local", expect: int = 0) -> str: ...

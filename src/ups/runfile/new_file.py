"""A new file, written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ups.errors import UsageError

__all__ = ["new_file"]


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to that gets its name once all of it is on the disk; if it cannot be written, nothing is left.

    Raises:
        UsageError: there is one of that name, or it cannot be written.
    """
    path = Path(path)
    exists = UsageError(f"{path} exists already: name a new file")
    temporary = path.with_name(f".{os.getpid()}-{path.name[:50]}")
    try:
        if os.path.lexists(path):
            raise exists
        try:
            with temporary.open("xb") as file:
                yield file
            if os.path.lexists(path):  # made meanwhile
                raise exists
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error

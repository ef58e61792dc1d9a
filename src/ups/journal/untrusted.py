"""Files and values that anyone may have written: a run's directory may come from a stranger.

A file is opened only if it is regular and lies in the run's directory. A link could have any file of this machine
uploaded or overwritten, and opening a FIFO would never return.
"""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from ups.errors import RunDirectoryError
from ups.regular_file import open_regular

__all__ = ["check_folder", "is_finite", "is_plain", "is_text", "is_text_or_none", "open_inside", "parse", "path_inside"]

DEEPEST = 64  # levels of lists and dictionaries: more than a person writes, fewer than any encoder's limit
_DIGITS = 300  # of a whole number: fewer than the largest float has
LARGEST = 64 * 1024 * 1024  # bytes of a file that is read as a whole


def open_inside(path: Path, root: Path) -> BinaryIO:
    """Open ``path``, a regular file below ``root`` once links are resolved, to read its bytes.

    Raises:
        RunDirectoryError: It leads out of ``root``, or is not a regular file.
        OSError: It cannot be opened.
    """
    return open_regular(path_inside(path, root), error=RunDirectoryError)


def path_inside(path: Path, root: Path) -> Path:
    """Resolve the links in ``path``.

    Raises:
        RunDirectoryError: It leads out of ``root``.
        FileNotFoundError: It does not exist.
    """
    try:
        resolved = path.resolve(strict=True)
        top = root.resolve(strict=True)
    except (RuntimeError, ValueError) as error:  # links in a circle; a name with a zero byte
        raise RunDirectoryError(f"{str(path)!r} cannot be resolved: {error}") from error
    if not resolved.is_relative_to(top):
        raise RunDirectoryError(f"{path} leads out of the run's directory, to {resolved}: it is left alone")
    return resolved


def check_folder(folder: Path, root: Path) -> None:
    """Check that everything in ``folder`` is a regular file or a folder inside ``root``.

    Raises:
        RunDirectoryError: Something in it leads out of ``root``, or is neither.
        OSError: It cannot be read.
    """
    for place, _, names in os.walk(path_inside(folder, root), onerror=_raise):
        for name in names:
            path = Path(place, name)
            if not stat.S_ISREG(path_inside(path, root).stat().st_mode):
                raise RunDirectoryError(f"{path} is not a regular file: it is left alone")


def parse(content: bytes) -> Any:
    """Read the JSON value in ``content``, nested no deeper than :data:`DEEPEST`; NaN and infinities are numbers.

    A whole number that is larger than any float stays text, which no chart draws.

    Raises:
        ValueError: It is not JSON, or nested deeper.
    """
    try:
        value = json.loads(content.decode("utf-8", "surrogatepass"), parse_int=_whole_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not is_plain(value):
        raise ValueError("it is nested too deeply")
    return value


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS else text


def is_plain(value: Any) -> bool:
    """True where a value that was parsed from JSON is nested no deeper than :data:`DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST):
        inside: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inside += each.values()
            elif isinstance(each, list):
                inside += each
        level = [each for each in inside if isinstance(each, (dict, list))]
        if not level:
            return True
    return False


def is_finite(value: Any) -> bool:
    """True where ``value`` is a number, not a truth value, and finite as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_text(value: Any) -> bool:
    """True where ``value`` is text without zero bytes, at which other programs would cut it."""
    return isinstance(value, str) and "\0" not in value


def is_text_or_none(value: Any) -> bool:
    """True where ``value`` is text, as for :func:`is_text`, or None."""
    return value is None or is_text(value)


def _raise(error: OSError) -> None:
    raise error

"""The media that a run's history names (tables, images and other files), and the files in the run's folder.

In the history, media are dictionaries with ``_type``. They name their files below ``files``, the folder beside the
run's ``.wandb`` file. Anyone may have written both. So a path is only looked up among the names in the folder: no path
leads out of it, and no link is followed.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ups.nested import put
from ups.regular_file import read_below
from ups.runfile.framing import Batch
from ups.runfile.records import Kind, Payloads, Record, path_of, readable, value_of
from ups.runfile.wire import sized

__all__ = ["LoggedMedia", "MediaReader", "media_files", "table_in", "table_size"]

_MARK = b"_type"
_FOLDER = "media"
_FIELDS = {"_type", "path", "filenames", "nrows", "ncols", "log_mode"}
_MOST_FILES = 200_000  # in a run's folder; a larger one is not judged
_DEEPEST = 32  # folders in each other
_LARGEST_TABLE = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class LoggedMedia:
    """One value of the history that names files.

    Attributes:
        key: The name under which it was logged.
        step: W&B's ``_step`` of its row.
        home: The folder of its files: ``files`` beside the ``.wandb`` file.
        paths: Its files, relative to ``home``, as anyone may have written them.
        rows, columns: The size of a table when it was logged; None for other media.
        log_mode: wandb's ``log_mode`` of a table; empty where the history does not hold it.
    """

    key: str
    step: int
    home: Path
    paths: tuple[str, ...]
    rows: int | None = None
    columns: int | None = None
    log_mode: str = ""


class MediaReader:
    """The media among the rows that are read. Rows without media cost one search of their bytes."""

    def __init__(self) -> None:
        self._logged: list[LoggedMedia] = []

    @property
    def logged(self) -> tuple[LoggedMedia, ...]:
        """The media read so far, in the order of the rows."""
        return tuple(self._logged)

    def as_it_is(self) -> "MediaReader":
        """Return a copy, which does not change when this reader takes more rows."""
        still = MediaReader()
        still._logged = self._logged[:]
        return still

    def rewind(self, step: float) -> None:
        """Keep the media of the rows up to a ``_step``."""
        self._logged = [each for each in self._logged if each.step <= step]

    def take(self, file: Path, batch: Batch, payloads: Payloads, history: NDArray[np.bool_]) -> None:
        """Collect the media in the records of a batch that ``history`` marks."""
        starts, ends = payloads.start[history], payloads.end[history]
        order = np.argsort(starts)  # a record that was joined from several chunks lies behind all others
        starts, ends = starts[order], ends[order]
        found: list[int] = []
        place = 0
        while place < len(starts) and (at := batch.data.find(_MARK, int(starts[place]))) >= 0:
            place = int(np.searchsorted(ends, at, side="right"))
            if place < len(starts) and at >= starts[place]:
                found.append(place)
                place += 1
        for place in sorted(found, key=lambda place: int(order[place])):
            self._take_row(file.parent / "files", batch.data[int(starts[place]) : int(ends[place])])

    def _take_row(self, home: Path, content: bytes) -> None:
        history = Record(readable(sized(Kind.HISTORY, content))).history
        row: dict[str, Any] = {}
        for item in history.item:
            path = path_of(item)
            if path[-1] in _FIELDS or '"_type"' in item.value_json:
                put(row, path, value_of(item))
        self.take_values(home, history.step.num, row)

    def take_values(self, home: Path, step: int, row: dict[str, Any]) -> None:
        """Collect the media in the values of one row, whose files are in ``home``."""
        for key, value in _media_in(row, ()):
            paths = tuple(dict.fromkeys(path for path in _paths(value) if path.startswith(f"{_FOLDER}/")))
            if paths:
                mode = value.get("log_mode")
                self._logged.append(
                    LoggedMedia(
                        key=key,
                        step=step,
                        home=home,
                        paths=paths,
                        rows=_whole(value.get("nrows")),
                        columns=_whole(value.get("ncols")),
                        log_mode=mode if isinstance(mode, str) else "",
                    )
                )


def media_files(home: Path) -> frozenset[str] | None:
    """List the files below ``media`` in a run's folder ``files``, relative to it; links are listed as files.

    Returns:
        The files; None where the folder is missing, cannot be read, or has more files than any run.
    """
    found: set[str] = set()
    if home.is_symlink():
        return None
    try:
        _list(home / _FOLDER, f"{_FOLDER}/", found, _DEEPEST)
    except (OSError, OverflowError):
        return None
    return frozenset(found)


def table_size(home: Path, path: str) -> tuple[int, int] | None:
    """Count the rows and columns in the file of a table, one of :func:`media_files` in a run's folder ``files``.

    None where it cannot be read, or is too large.
    """
    try:
        content = read_below(home, home / path, _LARGEST_TABLE + 1)
        if content is None or len(content) > _LARGEST_TABLE:
            return None
        table = table_in(content)
        return len(table["data"]), len(table["columns"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def table_in(content: bytes) -> Any:
    """Read the JSON of a table's file, also with the NaN and the infinities that Python writes into it."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content)


def _list(folder: Path, prefix: str, found: set[str], deepest: int) -> None:
    """Add the files in ``folder`` and below it.

    Raises:
        OSError: A folder cannot be read, or is a link.
        OverflowError: There are too many files.
    """
    if folder.is_symlink() or not deepest:
        raise OSError(f"{folder} is a link, or too deep")
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _list(folder / entry.name, f"{prefix}{entry.name}/", found, deepest - 1)
            else:
                found.add(prefix + entry.name)
                if len(found) > _MOST_FILES:
                    raise OverflowError


def _media_in(values: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find every outermost dictionary with a ``_type``, and the name that W&B shows for it."""
    for key, value in values.items():
        if isinstance(value, dict):
            if isinstance(value.get("_type"), str):
                yield ".".join((*above, key)), value
            else:
                yield from _media_in(value, (*above, key))


def _paths(value: Any) -> Iterator[str]:
    """Find every file that a value names, also in an image's masks and in a list."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "path" and isinstance(inner, str):
                yield inner
            elif name == "filenames" and isinstance(inner, list):
                yield from (file for file in inner if isinstance(file, str))
            else:
                yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None

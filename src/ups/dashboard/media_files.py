"""A run's tables and images, written by anyone: regular files in the run's own folder, read up to a limit."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ups.errors import UsageError
from ups.regular_file import read_below
from ups.runfile.logged_media import table_in
from ups.runs.source import Medium

__all__ = ["Table", "Unknown", "read_image", "read_table"]

_LARGEST_IMAGE = 64 * 1024 * 1024  # bytes
_MOST_OF_TABLE = 16 * 1024 * 1024  # bytes; of a longer one the first rows are read
_MOST_VALUES = 1_000_000  # of a table; each takes 100 bytes and more once it is read
_PART = 64 * 1024  # bytes
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}
_COLUMNS = re.compile(r'"columns"\s*:\s*')
_ROWS = re.compile(r'"(?:rows|data)"\s*:\s*\[\s*')
_SPACE = re.compile(r"\s*")


class Unknown(UsageError):
    """The run has no chart, table or image of that name."""


class Table(NamedTuple):
    """A table's columns and rows; ``partial`` if there are more rows than are read."""

    columns: list[str]
    rows: list[list[Any]]
    partial: bool


def read_image(medium: Medium, homes: Iterable[Path]) -> tuple[bytes, str]:
    """Read an image, which lies in one of the run's folders: its bytes, and its content type by their beginning.

    Raises:
        Unknown: It cannot be read, or a browser does not show its type.
    """
    content, is_all = _read(medium, homes, _LARGEST_IMAGE)
    if not is_all:
        raise Unknown(f"the image {medium.name!r} is larger than {_LARGEST_IMAGE:,} bytes: open {medium.path}")
    kind = next((kind for begin, kind in _SIGNATURES.items() if content.startswith(begin)), None)
    if kind is None and content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        kind = "image/webp"
    if kind is None:
        raise Unknown(f"the image {medium.name!r} is neither PNG, JPEG, GIF nor WebP")
    return content, kind


def read_table(medium: Medium, homes: Iterable[Path]) -> Table:
    """Read a table, or the first rows of one that is very long.

    Raises:
        Unknown: It cannot be read.
    """
    content, is_all = _read(medium, homes, _MOST_OF_TABLE)
    end = _end_of_values(content)
    try:
        if is_all and end == len(content):
            table = table_in(content)
            columns, rows = table["columns"], table["rows"] if "rows" in table else table["data"]
        else:
            columns, rows = _first_rows(content[:end].decode("utf-8", "replace"))
        return Table(
            [str(column) for column in columns],
            [row if isinstance(row, list) else [row] for row in rows],
            partial=not is_all or end < len(content),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unknown(f"the table {medium.name!r} cannot be read: {error}") from error


def _read(medium: Medium, homes: Iterable[Path], most: int) -> tuple[bytes, bool]:
    """Read the first bytes of a file of the run. Returns them, and True where they are all of it."""
    try:
        path = medium.path.resolve(strict=True)
        home = next((each for each in homes if path.is_relative_to(each) and path != each), None)
        if home is None:
            raise Unknown(f"the {medium.kind} {medium.name!r} lies outside the run's folder")
        content = read_below(home, path, most + 1)
        if content is None:
            raise Unknown(f"the {medium.kind} {medium.name!r} is not a regular file: {medium.path}")
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the path; RuntimeError: a ring of links
        raise Unknown(f"the {medium.kind} {medium.name!r} cannot be read: {error}") from error
    return content[:most], len(content) <= most


def _end_of_values(content: bytes) -> int:
    """The end of the JSON that can be read at once: before there are too many values."""
    count = 0
    for at in range(0, len(content), _PART):
        part = content[at : at + _PART]
        count += part.count(b",") + part.count(b"[") + part.count(b"{")
        if count > _MOST_VALUES:
            return at
    return len(content)


def _first_rows(text: str) -> tuple[Any, list[Any]]:
    """The columns and the whole rows in the beginning of a table's JSON.

    Raises:
        ValueError: They are not there.
    """
    decoder = json.JSONDecoder()
    names, begin = _COLUMNS.search(text), _ROWS.search(text)
    if names is None or begin is None:
        raise ValueError("it is too long to be read at once, and does not begin with its columns and rows")
    columns, _ = decoder.raw_decode(text, names.end())
    rows, at = [], begin.end()
    while at < len(text):
        try:
            row, end = decoder.raw_decode(text, at)
        except ValueError:  # cut off, or the end of the rows
            break
        after = _end_of_space(text, end)
        if text[after : after + 1] not in (",", "]"):
            break  # the row may be cut off
        rows.append(row)
        at = _end_of_space(text, after + 1) if text[after] == "," else len(text)
    return columns, rows


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()

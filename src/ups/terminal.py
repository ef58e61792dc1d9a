"""Text on a terminal: its colours, its width, and a line that is drawn again and again."""

import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

__all__ = ["Line", "bar", "cells", "echo", "fitted", "has_unicode", "redrawn_line", "styled", "width", "wrapped"]

Line = tuple[tuple[str, str], ...]
"""A line as pieces of text, each with its style: ``""``, or words such as ``bold red``."""

_CODES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_BAR = 20  # columns
_REDRAW_EVERY = 0.1  # seconds


def styled(text: str, style: str) -> str:
    """Give the text colours, which :func:`echo` removes where none are wanted."""
    codes = ";".join(str(_CODES[word]) for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text


def echo(text: str = "", *, stream: TextIO | None = None) -> None:
    """Print the text; with its colours on a terminal, unless ``NO_COLOR`` is set, or where ``FORCE_COLOR`` is."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    colour = False if plain else True if os.environ.get("FORCE_COLOR") else None
    click.echo(text, file=stream or sys.stdout, color=colour)


def width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size().columns


def has_unicode(stream: TextIO) -> bool:
    """True where a stream takes more than ASCII."""
    return (stream.encoding or "utf-8").lower().startswith("utf")


def cells(text: str) -> int:
    """The columns that printable text takes: wide letters take two, marks on another letter none."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def fitted(text: str, columns: int, *, end: str = "…") -> str:
    """The text cut off, with ``end``, or filled up with blanks, so that it takes a number of columns."""
    if _reach(text, 0, columns) < len(text):
        text = text[: _reach(text, 0, columns - len(end))] + end
    return text + " " * (columns - cells(text))


def wrapped(line: Line, columns: int) -> Iterator[str]:
    """The line on as many lines as it needs, broken between words where that can be, with its styles."""
    text = "".join(piece for piece, _ in line)
    at = 0
    while (end := max(_reach(text, at, columns), at + 1)) < len(text):
        blank = text.rfind(" ", at, end + 1)
        end = blank if blank > at else end
        yield _cut(line, at, at + len(text[at:end].rstrip()))
        at = end
        while text.startswith(" ", at):
            at += 1
    yield _cut(line, at, len(text))


def bar(done: float, *, unicode: bool = True) -> str:
    """A bar of which a share, from 0 to 1, is done."""
    full = round(min(max(done, 0.0), 1.0) * _BAR)
    return ("━" if unicode else "#") * full + ("┄" if unicode else "-") * (_BAR - full)


@contextmanager
def redrawn_line(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Give a function that draws one line of the terminal again; at the end the line is removed.

    It draws a few times a second at most, and needs no thread, which a process that is ending could not start.
    """
    drawn = 0.0

    def draw(line: str) -> None:
        nonlocal drawn
        if time.monotonic() - drawn >= _REDRAW_EVERY:
            drawn = time.monotonic()
            stream.write(f"\r{fitted(line, width() - 1).rstrip()}\x1b[K")
            stream.flush()

    try:
        yield draw
    finally:
        stream.write("\r\x1b[K")
        stream.flush()


def _cells_of(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _reach(text: str, at: int, columns: int) -> int:
    """The end of the text that fits into some columns from ``at`` on."""
    if text.isascii():
        return min(at + max(columns, 0), len(text))
    for index in range(at, len(text)):
        columns -= _cells_of(text[index])
        if columns < 0:
            return index
    return len(text)


def _cut(line: Line, start: int, end: int) -> str:
    """The letters of a line from ``start`` to ``end``, with their styles."""
    parts = []
    for piece, style in line:
        parts.append(styled(piece[max(start, 0) : max(end, 0)], style))
        start, end = start - len(piece), end - len(piece)
    return "".join(parts)

"""Text for people: counts, numbers, and text of anyone made safe for a terminal, a shell or a spreadsheet."""

import contextlib
import os
import shlex
from pathlib import Path, PurePath
from typing import Any

__all__ = ["command_line", "counted", "number_text", "printable", "short_path", "shown", "spreadsheet_text"]

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # for a spreadsheet, the wide ones begin a formula too


def counted(count: int, noun: str) -> str:
    """A count of things: ``1 row``, ``2,000 rows``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def printable(text: str) -> str:
    """The text with each control character written out, as ``\\x1b``, so that it cannot command a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def number_text(number: float) -> str:
    """A number with all its digits: whole numbers without a point, others as Python reads them back."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        number = int(number)
    return repr(number)


def command_line(*words: str | PurePath) -> str:
    """A command line that can be printed, and that a shell reads as these words.

    A word is quoted where the shell would change it. A word with a control character, or with bytes that are not text,
    is written as ``$'…'``, which bash, zsh and ksh read.
    """
    return " ".join(map(_word, words))


def short_path(path: Path) -> Path:
    """The path as short as it can be typed from the working directory, which may have been removed."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: it lies elsewhere
        return path.absolute().relative_to(Path.cwd())
    return path


def spreadsheet_text(text: str) -> str:
    """The text as a spreadsheet's cell; an apostrophe goes before text that begins like a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _word(word: str | PurePath) -> str:
    text = str(word)
    if isinstance(word, PurePath) and text.startswith("-"):
        text = f"./{text}"  # else a command reads the path as an option
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(each if each.isprintable() and each not in "\\'" else _escaped(each) for each in text) + "'"


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def shown(value: Any, width: int = 60) -> str:
    """The ``repr`` of ``value`` for a message, on one line and cut at ``width`` characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 - a value's own repr may fail in any way, but a message must not
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    return text if len(text) <= width else text[: width - 1] + "…"

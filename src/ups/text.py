"""Text that anyone may have written, made safe for where it goes: a terminal, a shell, a spreadsheet."""

import os
import shlex
from pathlib import PurePath
from typing import Any

__all__ = ["command_line", "number_text", "printable", "shown", "spreadsheet_text"]

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # a spreadsheet takes the wide ones too


def printable(text: str) -> str:
    """The text with control characters written out, as ``\\x1b``: none of them reaches a terminal."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def number_text(number: float) -> str:
    """A number with all its digits: whole numbers without a point, others as Python reads them back."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**63:
        number = int(number)
    return repr(number)


def command_line(*words: str | PurePath) -> str:
    """A command that does the same when it is pasted into a shell, and that can be printed as it is.

    A word is quoted where the shell would read it as something else. One with a control character, or with bytes that
    are no text, is written as ``$'…'``, which bash, zsh and ksh read.
    """
    return " ".join(map(_word, words))


def spreadsheet_text(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: one that begins like a formula gets an apostrophe."""
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _word(word: str | PurePath) -> str:
    text = str(word)
    if isinstance(word, PurePath) and text.startswith("-"):
        text = f"./{text}"  # a path, and no option
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(each if each.isprintable() and each not in "\\'" else _escaped(each) for each in text) + "'"


def _escaped(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def shown(value: Any, width: int = 60) -> str:
    """``value`` as text for a message: its ``repr``, cut at ``width`` characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 - a value's own repr may fail in any way, and a message must not
        text = f"<{type(value).__name__}: repr failed with {type(error).__name__}>"
    return text if len(text) <= width else text[: width - 1] + "…"

"""Text of anyone, made safe for a terminal, a shell and a spreadsheet."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ups.text import command_line, counted, printable, spreadsheet_text

ODD = ["plain", "a b", "it's", "$(touch x)", "`touch x`", "-f", "", "\x1b[31mred\x07", "a\nb", "\\x41\x01"]
ODD += ["größer\u202e", os.fsdecode(b"no\xfftext")]


def test_a_count_has_its_noun_in_the_singular_or_plural() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 2000)] == ["0 rows", "1 row", "2 rows", "2,000 rows"]


def test_nothing_commands_the_terminal() -> None:
    """Control characters are written out; letters of any language stay."""
    assert printable("größer 中") == "größer 中"
    assert printable("\x1b]0;title\x07\nnext\x9b2J") == "\\x1b]0;title\\x07\\nnext\\x9b2J"
    assert printable(printable("\x1b")) == "\\x1b"


@pytest.mark.parametrize("shell", ["bash", "zsh", "ksh"])
def test_a_shell_reads_each_word_as_it_was(shell: str) -> None:
    """A pasted command has the words that it was made of, and can be printed as it is."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    line = command_line("printf", "%s\\0", *ODD)
    assert line.isprintable()
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True)
    assert done.stdout == b"".join(os.fsencode(word) + b"\0" for word in ODD)


def test_a_path_is_no_option() -> None:
    """A path that begins like an option is one below the folder that one is in."""
    assert command_line("wandb", "sync", Path("-f"), Path("/a b"), "--all") == "wandb sync ./-f '/a b' --all"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1"])
def test_a_formula_is_text(text: str) -> None:
    """What a spreadsheet would compute begins with an apostrophe."""
    assert spreadsheet_text(text) == f"'{text}"


def test_other_cells_stay() -> None:
    """A name that is not a formula stays as it is, except for control characters."""
    for text in ("loss", "training/a/loss=1", "größer", "", "a-b"):
        assert spreadsheet_text(text) == text
    assert spreadsheet_text("\t=1") == "\\t=1"

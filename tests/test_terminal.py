"""Text that fits a terminal."""

from __future__ import annotations

import io

import pytest

from ups.terminal import bar, cells, fitted, redrawn_line, wrapped


@pytest.mark.parametrize(
    ("text", "columns", "fit"),
    [
        ("loss", 6, "loss  "),
        ("loss", 4, "loss"),
        ("gradient", 5, "grad…"),
        ("损失函数", 8, "损失函数"),
        ("损失函数", 7, "损失函…"),
        ("损失函数", 6, "损失… "),  # half a letter is none
        ("e\u0301e\u0301", 3, "e\u0301e\u0301 "),
    ],
)
def test_text_takes_the_columns_that_it_is_given(text: str, columns: int, fit: str) -> None:
    """Wide letters count twice and marks not at all, so that what comes after stands at one column."""
    assert fitted(text, columns) == fit
    assert cells(fit) == columns


@pytest.mark.parametrize(
    ("text", "columns", "lines"),
    [
        ("a line of words", 80, ["a line of words"]),
        ("a line of words", 9, ["a line of", "words"]),
        ("a line  of words", 7, ["a line", "of", "words"]),
        ("fix: log(training/loss)", 10, ["fix:", "log(traini", "ng/loss)"]),
        ("损失 函数", 5, ["损失", "函数"]),
        ("损失", 1, ["损", "失"]),
        ("", 5, [""]),
    ],
)
def test_a_line_is_broken_between_words(text: str, columns: int, lines: list[str]) -> None:
    """A word that is longer than a line begins one, and fills as many as it needs."""
    assert list(wrapped(((text, ""),), columns)) == lines


def test_a_style_lasts_over_the_lines_of_its_piece() -> None:
    """Each line has its own colours, so that the guides before it have none of them."""
    assert list(wrapped((("one two", "bold red"), (" three", "")), 4)) == [
        "\x1b[1;31mone\x1b[0m",
        "\x1b[1;31mtwo\x1b[0m",
        "thre",
        "e",
    ]


def test_a_long_name_is_wrapped_and_cut_in_no_time() -> None:
    """Names are written by anyone: a megabyte of wide letters takes a moment, not hours."""
    name = "损" * 300_000
    assert sum(map(len, wrapped(((name, ""),), 80))) == len(name)
    assert cells(fitted(name, 32)) == 32


def test_a_bar_is_as_long_as_its_share() -> None:
    """Also where more is done than was to be, as when a file grows while it is read."""
    assert [bar(share).count("━") for share in (-1, 0, 0.5, 1, 7)] == [0, 0, 10, 20, 20]
    assert bar(0.25, unicode=False) == "#" * 5 + "-" * 15


def test_a_line_that_is_redrawn_fits_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never wraps, is drawn at most every 0.1 s, and at its end the terminal is as before."""
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    with redrawn_line(stream) as draw:
        for step in range(1000):
            draw(f"reading {step} of 1,000 files")
        assert stream.getvalue().startswith("\rreading 0 of 1,000…\x1b[K")
        assert stream.getvalue().count("reading") < 100
    assert stream.getvalue().endswith("\r\x1b[K")

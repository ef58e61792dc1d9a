"""What the documents point at is there: links, anchors, pictures, files, and the scripts behind figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from .snippets import ROOT, documents, inline_code

DOCUMENTS = [*documents(), ROOT / "CHANGELOG.md"]
_MARKDOWN = MarkdownIt("commonmark").enable("table")

_UNIT = r"(?:ns|µs|ms|s|sec|min|h|seconds?|minutes?|hours?|days?|[kKMGT]i?B|bytes?|%|×|x|times|[a-z]+/s)"
FIGURE = re.compile(rf"\b\d[\d.,]*[\s-]?{_UNIT}(?![\w/])")
NUMBER = re.compile(r"[-–<>≈~ ]*\d[\d.,]*")
SCRIPT = re.compile(r"benchmarks/\w+\.py")
HEADED = re.compile(rf"[,(]\s*{_UNIT}\)?$|^[a-z]+/s$")
"""The head of a column of figures: ``time, ms`` or ``memory (MB)`` or ``rows/s``."""

NO_MEASUREMENTS = {
    "docs/explanation/wandb-facts.md": {"15 seconds", "7 bytes", "7-byte", "32 KiB"},  # W&B's poll and its file format
    "docs/reference/files.md": {"7-byte", "32 KiB", "16 MiB"},
    "docs/explanation/trust.md": {"64 MiB", "15 seconds"},
}
"""Numbers with a unit that are settings or formats."""


def tokens(path: Path) -> list[Token]:
    """The blocks of a document."""
    return _MARKDOWN.parse(path.read_text(encoding="utf-8"))


def targets(path: Path) -> Iterator[str]:
    """What the document links to or shows, but for what is on the web."""
    for token in tokens(path):
        for child in (token, *(token.children or ())):
            found = [child.attrGet("href"), child.attrGet("src")]
            if child.type.startswith("html"):
                found += re.findall(r"(?:href|src)=\"([^\"]+)\"", child.content)
            for target in found:
                if target and not re.match(r"[a-z]+:", str(target)):
                    yield str(target)


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub and the site give a document's headings."""
    blocks = tokens(path)
    found: Counter[str] = Counter()
    out = set()
    for before, heading in pairwise(blocks):
        if before.type == "heading_open":
            text = "".join(child.content for child in heading.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            out.add(f"{slug}-{found[slug]}" if found[slug] else slug)
            found[slug] += 1
    return out


def sections(path: Path) -> Iterator[list[str]]:
    """The texts of a document's paragraphs, list items and tables, section by section."""
    section: list[str] = []
    cells: list[str] | None = None  # of the table that is being read
    for token in tokens(path):
        if token.type == "heading_open" and section:
            yield section
            section = []
        if token.type == "table_open":
            cells = []
        elif token.type == "table_close":
            section.append(" | ".join(cells or ()))
            cells = None
        elif token.type == "inline":
            text = "".join(_shown(child) for child in token.children or ())
            (section if cells is None else cells).append(text)
    yield section


def figures(text: str) -> list[str]:
    """Each number with a unit in a text of :func:`sections`; the columns of a table may have theirs in their heads."""
    cells = text.split(" | ")
    heads = [cell for cell in cells if HEADED.search(cell)] if any(NUMBER.fullmatch(cell) for cell in cells) else []
    return [found[0] for found in FIGURE.finditer(re.sub(r"`[^`]*`", "", text))] + heads


def _shown(token: Token) -> str:
    if token.type == "code_inline":
        return f"`{token.content}`"
    return " " if token.type == "softbreak" else token.content


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_points_at_what_is_there(path: Path) -> None:
    """Each link and picture is a file of the repository, each anchor a heading, each path in the text exists."""
    for target in targets(path):
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        assert found.exists(), f"{target} does not exist"
        assert found.is_relative_to(ROOT), f"{target} is not in the repository"
        assert not anchor or anchor in anchors(found), f"{target}: there is no such heading"
    for code in inline_code(path):
        if re.fullmatch(r"(?:docs|tests|benchmarks|examples|src)/[\w./-]+", code):
            assert (ROOT / code).exists(), f"`{code}` does not exist"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_figure_names_the_script_that_prints_it(path: Path) -> None:
    """A number with a unit stands in a paragraph, table or section that names a script of ``benchmarks/``."""
    allowed = NO_MEASUREMENTS.get(path.relative_to(ROOT).as_posix(), set())
    for section in sections(path):
        for text in section:
            for figure in set(figures(text)) - allowed:
                scripts = SCRIPT.findall(text) or SCRIPT.findall(" ".join(section))
                assert scripts, f"{figure!r}: which script of benchmarks/ prints it? {text[:200]}"
                assert all((ROOT / script).exists() for script in scripts), f"{scripts} are not all there"

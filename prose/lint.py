"""Check the prose of the repository: ``python prose/lint.py [PATH ...]``, part of ``make lint``.

Reads the Markdown pages, and in Python the docstrings, the comments and the strings that read as sentences. textlint
looks for the phrases of ``words.yml``. A docstring that begins with a question word is reported too.
"""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGES = ("*.md", "docs/**/*.md", "examples/**/*.md", "src/**/*.md")
SCRIPTS = ("src/**/*.py", "benchmarks/**/*.py", "examples/**/*.py", "docs/**/*.py", "prose/*.py")
TEXTLINT = HERE / "node_modules" / "textlint" / "bin" / "textlint.js"
FEWEST_WORDS = 4
WORD = re.compile(r"(?<![\w.])[A-Za-z][a-z'’]*(?![\w(=])")
QUESTION = re.compile(r"(?:What|Who|Whether|How|Why|Which)(?:ever)?\b")


class Finding(NamedTuple):
    """A phrase to change, and the place where it stands."""

    path: Path
    line: int
    column: int
    message: str


class Span(NamedTuple):
    """A token of Python that people read: where it starts and ends (line from 1, column from 0)."""

    start: tuple[int, int]
    end: tuple[int, int]
    is_comment: bool

    def parts(self, lines: list[str]) -> Iterator[tuple[int, int, str]]:
        """Yield the row, the first column and the text of each of its lines, without quotes, values and escapes."""
        for row in range(self.start[0] - 1, self.end[0]):
            first = self.start[1] if row == self.start[0] - 1 else 0
            last = self.end[1] if row == self.end[0] - 1 else len(lines[row])
            yield row, first, _blanked(lines[row][first:last], self.is_comment)


def main(arguments: list[str]) -> int:
    """Print the findings in the given files, or in all, and return the exit status."""
    paths = [Path(each).resolve() for each in arguments] or [
        path for pattern in (*PAGES, *SCRIPTS) for path in sorted(ROOT.glob(pattern))
    ]
    if shutil.which("node") is None or not TEXTLINT.exists():
        print("textlint is not installed; `make lint` installs it, and needs Node.js 20.18 or newer", file=sys.stderr)
        return 2
    found = sorted(findings(paths))
    for finding in found:
        path = finding.path.relative_to(ROOT) if finding.path.is_relative_to(ROOT) else finding.path
        print(f"{path}:{finding.line}:{finding.column}: {finding.message}")
    if found:
        print(f"{len(found)} phrases to change; prose/words.yml lists them", file=sys.stderr)
    return bool(found)


def findings(paths: Iterable[Path]) -> Iterator[Finding]:
    """Yield each finding in these Markdown and Python files."""
    with tempfile.TemporaryDirectory() as folder:
        origins: dict[str, tuple[Path, list[int]]] = {}
        for number, path in enumerate(paths):
            text = path.read_text(encoding="utf-8")
            indents: list[int] = []
            if path.suffix == ".py":
                yield from questions(path, text)
                text, indents = as_markdown(text)
            copy = Path(folder, f"{number}.md")
            copy.write_text(text, encoding="utf-8")
            origins[str(copy)] = path, indents
        if not origins:
            return
        command: list[str | Path] = ["node", TEXTLINT, "--config", HERE / "textlint.json", "--format", "json", *origins]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1) or not done.stdout:
            raise SystemExit(f"textlint failed:\n{done.stdout}{done.stderr}")
        for result in json.loads(done.stdout):
            path, indents = origins[result["filePath"]]
            for message in result["messages"]:
                line, column = message["line"], message["column"]
                indent = indents[line - 1] if indents else 0
                yield Finding(path, line, column + indent, " ".join(message["message"].split()))


def questions(path: Path, source: str) -> Iterator[Finding]:
    """Yield the docstrings that begin with a question word."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            begins = QUESTION.match(node.value.value.lstrip())
            if begins is not None:
                advice = f"{begins[0]} … => begin a docstring with a verb or with the thing itself"
                yield Finding(path, node.lineno, node.col_offset + 1, advice)


def as_markdown(source: str) -> tuple[str, list[int]]:
    """Return the prose of a Python file on the lines where it stands, and the indent cut from each line."""
    lines = source.splitlines()
    prose = [[" "] * len(line) for line in lines]
    for span in spans(source):
        for row, first, text in span.parts(lines):
            prose[row][first : first + len(text)] = text
    texts = ["".join(line).rstrip() for line in prose]
    return "\n".join(text.lstrip() for text in texts) + "\n", [len(text) - len(text.lstrip()) for text in texts]


def spans(source: str) -> Iterator[Span]:
    """Yield each comment, and each string that reads as a sentence, together with the strings beside it."""
    lines, depth = source.splitlines(), 0
    strings: list[Span] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name == "FSTRING_END":  # before Python 3.12 an f-string is one STRING
            depth -= 1
            if depth == 0:
                strings[-1] = Span(strings[-1].start, token.end, False)
        elif depth == 0 and name in ("STRING", "FSTRING_START"):
            strings.append(Span(token.start, token.end, False))
        elif depth == 0 and name == "COMMENT":
            yield Span(token.start, token.end, True)
        elif depth == 0 and name != "NL":
            text = " ".join(text for string in strings for *_, text in string.parts(lines))
            if len(WORD.findall(text)) >= FEWEST_WORDS:
                yield from strings
            strings = []
        depth += name == "FSTRING_START"


def _blanked(part: str, is_comment: bool) -> str:
    """The line of a comment or a string, as long as before, without its quotes, its values and its escapes."""
    if is_comment:
        return " " + part[1:]
    part = re.sub(r"^[rbfuRBFU]{1,2}(?=[\"'])", lambda found: " " * len(found[0]), part)
    part = re.sub(r"\{[^{}]*\}", lambda found: "x" * len(found[0]), part)
    part = re.sub(r"\\[nrt]", "  ", part)
    return part.replace('"', " ").replace("\\", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The snippets of the documents: fenced blocks of the pages, examples in the commands' help and in docstrings."""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from markdown_it import MarkdownIt

import ups
from ups.cli import command as ups_command

__all__ = ["ROOT", "Page", "Snippet", "commands", "docstrings", "documents", "help_examples", "inline_code", "pages"]

ROOT = Path(__file__).parents[2]
SOURCE = Path(ups.__file__).parent
# Unlike a search for ``` it knows blocks within lists and longer fences.
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Snippet:
    """One block. ``where`` is its file and line, or the command whose help it is of."""

    where: str
    language: str
    text: str

    def commands(self) -> list[str]:
        """The command lines of a console block, without their comments."""
        lines = self.text.splitlines() if self.language == "console" else []
        return [re.split(r"\s+#\s", line)[0].strip() for line in lines if line.startswith("$ ")]


@dataclass(frozen=True)
class Page:
    """Snippets that a reader follows from the first to the last, in one folder."""

    name: str
    snippets: tuple[Snippet, ...]


def pages() -> list[Page]:
    """Everything that has a snippet. A command of a help text that a document has as well is run there alone."""
    named: dict[str, list[Snippet]] = {}
    for path in documents():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("docs/findings/"):
            name = "docs/findings"  # each is a line or two about the same run
        named.setdefault(name, []).extend(_blocks(path))
    shown = {line for snippets in named.values() for snippet in snippets for line in snippet.commands()}
    for name, command in commands().items():
        named[f"{name} --help"] = list(help_examples(name, command, shown))
    for snippet in docstrings():
        named[snippet.where] = [snippet]
    return [Page(name, tuple(snippets)) for name, snippets in named.items() if snippets]


def documents() -> list[Path]:
    """The documents that a reader may follow."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found += sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
    return found + sorted((ROOT / "examples").rglob("README.md"))


def _blocks(path: Path) -> Iterator[Snippet]:
    """The fenced blocks of a document, but for directives of the documents' site, such as ``{toctree}``."""
    for token in _MARKDOWN.parse(path.read_text(encoding="utf-8")):
        language = token.info.strip()
        if token.type == "fence" and not language.startswith("{"):
            assert token.map is not None
            yield Snippet(f"{path.relative_to(ROOT).as_posix()}:{token.map[0] + 1}", language, token.content)


def inline_code(path: Path) -> Iterator[str]:
    """The code within a document's sentences and tables."""
    for token in _MARKDOWN.parse(path.read_text(encoding="utf-8")):
        yield from (child.content for child in token.children or () if child.type == "code_inline")


def commands() -> dict[str, click.Command]:
    """``ups`` itself and each of its commands, by what one types."""
    assert isinstance(ups_command, click.Group)
    context = click.Context(ups_command, info_name="ups")
    found: dict[str, click.Command] = {"ups": ups_command}
    for name in ups_command.list_commands(context):
        command = ups_command.get_command(context, name)
        assert command is not None
        found[f"ups {name}"] = command
    return found


def help_examples(name: str, command: click.Command, shown: set[str]) -> Iterator[Snippet]:
    """The lines below ``Example:`` in the help of a command, but for those in ``shown``."""
    printed = command.get_help(click.Context(command, info_name=name))
    for example in re.finditer(r"^ *Examples?:\n(.+?)(?:\n\n|\Z)", printed, re.DOTALL | re.MULTILINE):
        lines = [f"$ {line.strip()}" for line in example[1].splitlines()]
        text = "".join(f"{line}\n" for line in lines if line not in shown)
        if text:
            yield Snippet(f"{name} --help", "console", text)


def docstrings() -> Iterator[Snippet]:
    """The docstrings of UPS that have an example (``>>>``)."""
    for path in sorted(SOURCE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)) if ">>>" in source else ():
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node) or ""
                if doctest.DocTestParser().get_examples(text):
                    where = f"{path.relative_to(ROOT).as_posix()}:{getattr(node, 'lineno', 1)}"
                    yield Snippet(where, "doctest", text)

"""The directive ``command-reference``: the command line, from click's own commands.

Help texts are not reStructuredText, so they become text and literal blocks without parsing. Each option becomes a
``cmdoption`` of the index, ``ups-check.--format``.
"""

from collections.abc import Iterator
from inspect import cleandoc

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ups.cli import command as ups_command

__all__ = ["setup"]


class CommandReference(SphinxDirective):
    """One section per command: its usage, its help, its examples and its options."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        self.env.note_reread()  # the sections come from code, not from a file of the site
        return [self._section(context) for context in _commands()]

    def _section(self, context: click.Context) -> nodes.section:
        name = context.command_path
        section = nodes.section(ids=[nodes.make_id(name)], names=[nodes.fully_normalize_name(name)])
        section += nodes.title(name, "", nodes.literal(name, name))
        self.state.document.note_explicit_target(section)
        section += nodes.literal_block("", " ".join([name, *context.command.collect_usage_pieces(context)]))
        section += _help(context.command.help or "")
        section += self.parse_text_to_nodes(StringList(list(_options(context)), "click"))
        return section


def _commands() -> Iterator[click.Context]:
    """A context for ``ups`` and for each of its commands, as they are listed."""
    top = click.Context(ups_command, info_name="ups", **ups_command.context_settings)
    yield top
    for name in ups_command.list_commands(top):
        command = ups_command.get_command(top, name)
        if command is not None and not command.hidden:
            yield click.Context(command, info_name=name, parent=top, **command.context_settings)


def _help(text: str) -> list[nodes.Node]:
    r"""Paragraphs, and literal blocks of those that click leaves as they are (``\b``)."""
    out: list[nodes.Node] = []
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            heading, _, lines = paragraph.removeprefix("\b\n").partition("\n")
            out.append(nodes.paragraph("", heading))
            out.append(nodes.literal_block("", "\n".join(line.strip() for line in lines.splitlines()), language="text"))
        else:
            out.append(nodes.paragraph("", " ".join(paragraph.split())))
    return out


def _options(context: click.Context) -> Iterator[str]:
    """The options, as reStructuredText."""
    yield f".. program:: {context.command_path}"
    yield ""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            names, text = record
            yield f".. option:: {names.replace(' / ', ', ')}"
            yield ""
            yield "   " + text.replace("\\", "\\\\").replace("*", "\\*").replace("`", "\\`").replace("_", "\\_")
            yield ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""A checked run as a tree, JSON, Markdown or one line; the check itself is in :mod:`ups.check`."""

from ups.report.data import as_data, chart_data
from ups.report.github import annotation, as_annotations, write_summary
from ups.report.markdown import as_markdown
from ups.report.summary import summary_line
from ups.report.tree import render_tree

__all__ = [
    "annotation",
    "as_annotations",
    "as_data",
    "as_markdown",
    "chart_data",
    "render_tree",
    "summary_line",
    "write_summary",
]

"""A checked run, rendered: only how it looks, nothing about what is right."""

from ups.report.tree import render_tree

__all__ = ["render_tree"]

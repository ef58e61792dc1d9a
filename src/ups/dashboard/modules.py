"""The page's JavaScript modules: those that a page needs, and all of them as one script."""

import re
from importlib import resources

__all__ = ["bundle", "modules_of", "page_file"]

_IMPORT = re.compile(r'^import \{([^}]+)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const|let) (\w+))", re.MULTILINE)


def page_file(name: str) -> str:
    """Read a file of the page, as text."""
    return (resources.files("ups.dashboard") / "page" / name).read_text(encoding="utf-8")


def modules_of(entry: str) -> dict[str, str]:
    """The sources of ``entry`` and of all modules that it needs, by file name; each behind those that it imports.

    The page keeps to two forms: ``import { a, b } from "./name.js";``, and ``export`` before a declaration.
    """
    found: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in found:
            source = page_file(name)
            for _, other in _IMPORT.findall(source):
                add(other)
            found[name] = source

    add(entry)
    return found


def bundle(entry: str) -> str:
    """Join the modules of ``entry`` into one classic script: a page on a disk may not import others.

    Each module becomes a function that returns its exports.
    """
    return '"use strict";\n' + "".join(_as_function(name, source) for name, source in modules_of(entry).items())


def _as_function(name: str, source: str) -> str:
    exported = ", ".join(exports for _, exports in _EXPORT.findall(source))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(lambda found: f"const {{{found[1]}}} = {_variable(found[2])};\n", source))
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();\n"


def _variable(module: str) -> str:
    return "$" + module.removesuffix(".js")

"""W&B's limits on a run's project, tags and artifact names.

wandb refuses other names only when delivery opens the run or logs the artifact: too late for the person who chose them.
"""

import re
from collections.abc import Callable
from typing import Any

from ups.errors import InvalidName
from ups.text import shown

__all__ = ["artifact_label", "check_artifact_name", "check_project", "check_tag", "check_text", "passes"]

_NOT_IN_PROJECT = re.compile(r"[/\\#?%:]")
_ARTIFACT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


def passes(check: Callable[[Any], None], value: Any) -> bool:
    """True where ``check`` raises no :class:`~ups.errors.InvalidName` for ``value``."""
    try:
        check(value)
    except InvalidName:
        return False
    return True


def check_text(what: str, value: Any) -> None:
    """Raise :class:`~ups.errors.InvalidName` unless ``value`` is text or None."""
    if value is not None and not isinstance(value, str):
        raise InvalidName(f"{what} is {shown(value)} ({type(value).__name__}): pass text, as in {what}={str(value)!r}")


def check_project(project: Any, source: str = "project") -> None:
    """Raise :class:`~ups.errors.InvalidName` unless W&B takes ``project``, or it is None."""
    check_text(source, project)
    if project is not None and (len(project) > 128 or _NOT_IN_PROJECT.search(project)):
        raise InvalidName(
            f"{source} is {shown(project)}, which W&B refuses: use at most 128 characters without / \\ # ? % :"
        )


def check_tag(tag: Any, source: str = "tags") -> None:
    """Raise :class:`~ups.errors.InvalidName` unless W&B takes ``tag``."""
    if not isinstance(tag, str) or not 1 <= len(tag) <= 64:
        raise InvalidName(f"{source} has {shown(tag)}, which W&B refuses: a tag is text of 1 to 64 characters")


def check_artifact_name(name: Any) -> None:
    """Raise :class:`~ups.errors.InvalidName` unless W&B takes ``name`` as an artifact's."""
    if not isinstance(name, str) or not _ARTIFACT_NAME.match(name):
        raise InvalidName(
            f"{shown(name)} is not an artifact's name: use letters, digits, '_', '-' and '.', at most 128"
        )


def artifact_label(text: str) -> str:
    """Make an artifact's name of ``text``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:128]

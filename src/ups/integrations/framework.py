"""The framework of an integration: installed, and new enough."""

import re
from importlib import metadata

from ups.errors import MissingDependency

__all__ = ["require"]


def require(extra: str, oldest: str, *packages: str) -> None:
    """See that a framework is installed, in a version from ``oldest`` on, without importing it.

    ``extra`` of UPS installs it; ``packages`` are the names under which it is published, by default ``extra``.

    Raises:
        MissingDependency: No package of ``packages`` is installed, or the installed one is older.
    """
    packages = packages or (extra,)
    for package in packages:
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if _release(version) < _release(oldest):
            raise MissingDependency(
                f"{package} {version} is older than {oldest}, the oldest that UPS works with:"
                f" pip install --upgrade 'ups-tracking[{extra}]'"
            )
        return
    raise MissingDependency(f"{packages[0]} is not installed: pip install 'ups-tracking[{extra}]'")


def _release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``2.5.0.post0`` → (2, 5, 0), with zeros to compare by."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    return tuple(numbers + [0] * (4 - len(numbers)))

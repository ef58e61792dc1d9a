"""The framework of an integration: installed, and new enough."""

import re
from importlib import metadata

from ups.errors import MissingDependency
from ups.extras import installation

__all__ = ["require"]


def require(extra: str, oldest: str, *packages: str) -> None:
    """See that a framework is installed, without importing it.

    Args:
        extra: The extra of UPS that installs it.
        oldest: The oldest version that the integration works with, as ``2.5``.
        packages: The names under which the framework is published, the preferred one first; by default ``extra``.

    Raises:
        MissingDependency: No package of ``packages`` is installed, or the installed one is older.
    """
    for package in packages or (extra,):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if _release(version) < _release(oldest):
            raise MissingDependency(
                f"{package} {version} is older than {oldest}, the oldest that UPS works with:"
                f" {installation(extra, upgrade=True)}"
            )
        return
    raise MissingDependency(f"{(packages or (extra,))[0]} is not installed: {installation(extra)}")


def _release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``2.5.0.post0`` → (2, 5, 0), with zeros to compare by."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    return tuple(numbers + [0] * (4 - len(numbers)))

"""The extras of UPS: what to install where a package that one of its parts needs is missing or too old."""

import re
from importlib.util import find_spec

from ups.errors import MissingDependency

__all__ = ["installation", "require", "require_version"]


def require(extra: str, *modules: str, user: str = "", otherwise: str = "") -> None:
    """See that modules are installed, without importing them.

    Args:
        extra: The extra of UPS that installs them.
        modules: Their names.
        user: The part of UPS that needs them, for the message.
        otherwise: Another way out, for the message.

    Raises:
        MissingDependency: One of them is not installed.
    """
    for module in modules:
        spec = find_spec(module)
        if spec is None or spec.origin is None:  # without an origin, a folder of this name in the working directory
            fact = f"{user} needs {module}, which is not installed" if user else f"{module} is not installed"
            raise MissingDependency(f"{fact}: {installation(extra)}{otherwise and f'. Or {otherwise}'}")


def require_version(extra: str, oldest: str, *packages: str) -> None:
    """See that a framework is installed and new enough, without importing it.

    Args:
        extra: The extra of UPS that installs it.
        oldest: The oldest version that UPS works with, as ``2.5``.
        packages: The names under which the framework is published, the preferred one first; by default ``extra``.

    Raises:
        MissingDependency: No package of ``packages`` is installed, or the installed one is older.
    """
    from importlib import metadata

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


def installation(extra: str, *, upgrade: bool = False) -> str:
    """The command that installs an extra."""
    return f"pip install {'--upgrade ' if upgrade else ''}'ups-tracking[{extra}]'"


def _release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``2.5.0.post0`` → (2, 5, 0), with zeros to compare by."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in match.group().split(".")] if match else []
    return tuple(numbers + [0] * (4 - len(numbers)))

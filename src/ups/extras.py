"""The extras of UPS: what to install where a package that one of its parts needs is missing."""

from importlib.util import find_spec

from ups.errors import MissingDependency

__all__ = ["installation", "require"]


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
        if find_spec(module) is None:
            fact = f"{user} needs {module}, which is not installed" if user else f"{module} is not installed"
            raise MissingDependency(f"{fact}: {installation(extra)}{otherwise and f'. Or {otherwise}'}")


def installation(extra: str, *, upgrade: bool = False) -> str:
    """The command that installs an extra."""
    return f"pip install {'--upgrade ' if upgrade else ''}'ups-tracking[{extra}]'"

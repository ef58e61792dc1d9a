"""What wandb raises, as a session takes it: lost, or only this one thing refused."""

import contextlib
import re
from collections.abc import Iterator

from ups.errors import UPSError

__all__ = ["Refused", "SessionLost", "error_text", "losing"]

_DENIED = re.compile(r"\b(401|403)\b|API key|[Uu]nauthorized|permission denied")


class SessionLost(UPSError):
    """wandb can take no more in this session.

    Attributes:
        denied: Whether the server has refused the credentials.
    """

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


class Refused(UPSError):
    """One thing cannot be given to wandb, or wandb does not take it; it takes the rest.

    Attributes:
        what: What it was, in a word or two.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"W&B would not take {what}: {reason}. It is in the run directory")
        self.what = what


@contextlib.contextmanager
def losing(what: str) -> Iterator[None]:
    """Turn whatever wandb raises into :class:`SessionLost`.

    Args:
        what: What it was to do, as in "wandb could not …".
    """
    try:
        yield
    except Exception as error:
        text = error_text(error)
        raise SessionLost(f"wandb could not {what}: {text}", denied=bool(_DENIED.search(text))) from error


def error_text(error: Exception) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__

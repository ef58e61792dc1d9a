"""The errors of wandb, as delivery takes them: the session is lost, or one thing is refused."""

import contextlib
import re
from collections.abc import Iterator

from ups.errors import UPSError

__all__ = ["Refused", "SessionLost", "error_text", "losing"]

_DENIED = re.compile(r"\b(401|403)\b|API key|[Uu]nauthorized|permission denied")

_UNVERIFIED = "error occurred while verifying the API key"


class SessionLost(UPSError):
    """The session is over: wandb takes nothing more in it.

    Attributes:
        denied: Whether the server has refused the credentials.
    """

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


class Refused(UPSError):
    """One thing cannot be given to wandb, or wandb refuses it; the session continues.

    Attributes:
        what: The thing, in a word or two.
    """

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(f"W&B did not take {what}: {reason}. It stays in the run's directory")
        self.what = what


@contextlib.contextmanager
def losing(what: str) -> Iterator[None]:
    """Turn any error of wandb into :class:`SessionLost`.

    Args:
        what: The task, as in "wandb could not …".
    """
    try:
        yield
    except Exception as error:
        text = error_text(error)
        # wandb 0.27 and older say the same of a server in trouble and of one that refuses the key: the cause differs.
        reason = error_text(error.__cause__) if _UNVERIFIED in text and error.__cause__ is not None else text
        raise SessionLost(f"wandb could not {what}: {text}", denied=bool(_DENIED.search(reason))) from error


def error_text(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split()) or type(error).__name__

"""Questions to a W&B server: the rows that it holds of a run, and the account behind the credentials."""

from collections.abc import Mapping
from dataclasses import dataclass

from ups.delivery.wandb_errors import losing
from ups.errors import UPSError

__all__ = ["EVERY_ROW", "ServerHolds", "WrongCredentials", "account_name", "held_by_server", "missing_rows"]

EVERY_ROW = "_step"  # W&B's own step, which it adds to each row


@dataclass(frozen=True)
class ServerHolds:
    """The part of a run that the server holds.

    Attributes:
        last_step: W&B's step of the last row; -1 for none, and where the server does not report it.
        summary_step: W&B's step in the summary; -1 for none.
        counts: The number of rows with each metric; None where the server does not count them.
        closed: Whether the run has ended there.
    """

    last_step: int
    summary_step: int
    counts: dict[str, int] | None
    closed: bool


def missing_rows(expected: Mapping[str, int], counts: Mapping[str, int] | None) -> dict[str, int]:
    """The number of rows of each metric that a server lacks; empty where it counts none.

    Empty too where the server has every row, whatever it has counted of single metrics. A metric with a dot in its name
    is left out: a server may count it as a nested one.

    Args:
        expected: The rows of each metric that were given to it; all rows under ``_step``, W&B's own, which each has.
        counts: The rows of each metric that it has counted, likewise.
    """
    if counts is None or counts.get(EVERY_ROW, -1) >= expected.get(EVERY_ROW, 0):
        return {}
    named = expected.keys() - {EVERY_ROW}
    lacking = {name: expected[name] - counts.get(name, 0) for name in sorted(named) if "." not in name}
    return {name: count for name, count in lacking.items() if count > 0}


def held_by_server(entity: str | None, project: str | None, run_id: str) -> ServerHolds:
    """Ask the server for the rows that it holds of a run.

    Raises:
        SessionLost: The server does not answer, or does not know the run.
    """
    with losing("ask the server what it holds"):
        import wandb

        run = wandb.Api(timeout=20).run(f"{entity}/{project}/{run_id}")
        keys = (run.history_keys or {}).get("keys") or {}
        counts = {name: sum(int(kind["count"]) for kind in entry["typeCounts"]) for name, entry in keys.items()}
        summary_step = dict(run.summary).get(EVERY_ROW)
        return ServerHolds(
            int(run.lastHistoryStep),
            summary_step if isinstance(summary_step, int) else -1,
            counts or None,
            run.state not in ("running", "pending"),
        )


class WrongCredentials(UPSError):
    """The credentials have a form that wandb does not take; the message is wandb's own."""


def account_name(timeout: int) -> str | None:
    """The name of the account that the configured credentials belong to; None where the server does not take them.

    Args:
        timeout: Seconds to wait for the server.

    Raises:
        WrongCredentials: wandb itself refuses them.
    """
    import wandb

    try:
        return str(wandb.Api(timeout=timeout).viewer.username)
    except (wandb.Error, ValueError) as error:
        # The server's answer, which is the error's cause, might repeat the credentials.
        if isinstance(error, wandb.errors.AuthenticationError) and error.__cause__ is None:
            raise WrongCredentials(str(error)) from None
        return None

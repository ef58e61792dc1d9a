"""A W&B server, asked: what it holds of a run, and whose account it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from ups.delivery.wandb_errors import losing
from ups.errors import UPSError

__all__ = ["EVERY_ROW", "ServerHolds", "WrongCredentials", "account_name", "held_by_server", "missing_rows"]

EVERY_ROW = "_step"  # W&B's own step, which it adds to each row


@dataclass(frozen=True)
class ServerHolds:
    """What the server holds of a run.

    Attributes:
        last_step: W&B's step of the last row; -1 for none.
        counts: How many rows hold each metric; None where the server does not count them.
        closed: Whether the run has ended there.
    """

    last_step: int
    counts: dict[str, int] | None
    closed: bool


def missing_rows(expected: Mapping[str, int], counts: Mapping[str, int] | None) -> dict[str, int]:
    """How many rows of each metric a server lacks, of those ``expected``, by its ``counts``; none if it has none.

    None where the server has every row, whatever it has counted of single metrics. A metric with a dot in its name is
    left out: a server may count it as a nested one.

    Args:
        expected, counts: Rows of each metric; of all metrics together under ``_step``, W&B's own, which each row has.
    """
    if counts is None or counts.get(EVERY_ROW, -1) >= expected.get(EVERY_ROW, 0):
        return {}
    named = expected.keys() - {EVERY_ROW}
    lacking = {name: expected[name] - counts.get(name, 0) for name in sorted(named) if "." not in name}
    return {name: count for name, count in lacking.items() if count > 0}


def held_by_server(entity: str | None, project: str | None, run_id: str) -> ServerHolds:
    """Ask the server what it holds of a run.

    Raises:
        SessionLost: The server does not answer, or does not know the run.
    """
    with losing("ask the server what it holds"):
        import wandb

        run = wandb.Api(timeout=20).run(f"{entity}/{project}/{run_id}")
        keys = (run.history_keys or {}).get("keys") or {}
        counts = {name: sum(int(kind["count"]) for kind in entry["typeCounts"]) for name, entry in keys.items()}
        return ServerHolds(int(run.lastHistoryStep), counts or None, run.state not in ("running", "pending"))


class WrongCredentials(UPSError):
    """The credentials have a form that wandb does not take; the message is wandb's own word on it."""


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
        # The server's word, which is the error's cause, might repeat what it was sent.
        if isinstance(error, wandb.errors.AuthenticationError) and error.__cause__ is None:
            raise WrongCredentials(str(error)) from None
        return None

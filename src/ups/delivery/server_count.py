"""The count of the rows that W&B's server holds: ask until it has had time to show every row that it was given."""

import os
import time
from collections.abc import Callable
from enum import Enum, auto

from ups.delivery.server import ServerHolds, missing_rows
from ups.delivery.wandb_errors import SessionLost
from ups.journal.ledger import Ledger
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status

__all__ = ["ASKING", "SERVER_LAG", "Held", "ask_server", "gap_in_words"]


def _patience() -> float:
    """``UPS_SERVER_PATIENCE``: how many times longer than usual a server may take; 1 unless it is a number above 0."""
    try:
        return max(float(os.environ.get("UPS_SERVER_PATIENCE", 1)), 0.0) or 1.0
    except ValueError:
        return 1.0


ASKING = 20.0 * _patience()  # seconds to ask a server that does not answer
SERVER_LAG = 8.0 * _patience()  # seconds that a server may take to show more of what it was given

_COUNT_LAG = 30.0 * _patience()  # seconds that it may take to count the rows of each metric


class Held(Enum):
    """The part that W&B holds of the rows that it was given."""

    ALL = auto()
    SHORT = auto()  # the last rows are missing, and can be given again
    GAP = auto()  # rows between others are missing, which it no longer takes
    UNKNOWN = auto()  # it cannot be asked


def ask_server(
    ask: Callable[[], ServerHolds], status: Status, ledger: Ledger, *, closed: bool, lag: float = SERVER_LAG
) -> Held:
    """Ask until the server shows every row, or has had time to; ``status`` then has its answer.

    Before that it has the rows that were given, and the rows of each metric among them. If ``closed``, the answer is
    ``ALL`` only once the run has ended there. After ``lag`` seconds without progress the answer is final.
    """
    began = progressed = time.monotonic()
    best = (-1, 0)
    while True:
        try:
            server = ask()
        except SessionLost as lost:
            status.denied = lost.denied
            if lost.denied or time.monotonic() - began > ASKING:
                return Held.UNKNOWN
            time.sleep(1.0)
            continue
        held = ledger.rows_up_to(server.last_step)
        lacking = missing_rows(status.expected, server.counts)
        status.confirmed_rows, status.counts = max(held - max(lacking.values(), default=0), 0), server.counts
        complete = held >= status.rows and (server.closed or not closed)
        if complete and not lacking:
            return Held.ALL
        if (reached := (held, -sum(lacking.values()))) > best:
            best, progressed = reached, time.monotonic()
        if time.monotonic() - progressed > (max(lag, _COUNT_LAG) if complete else lag):
            if server.last_step < 0 <= server.summary_step:  # it never reports its last row: go by its summary
                status.confirmed_rows = ledger.rows_up_to(server.summary_step)
                complete = status.confirmed_rows >= status.rows and (server.closed or not closed)
                return Held.ALL if complete else Held.SHORT
            return Held.GAP if complete else Held.SHORT
        time.sleep(0.5)


def gap_in_words(status: Status, directory: RunDirectory) -> str:
    """A message about the rows that a server lacks between others, with the way out."""
    lacking = missing_rows(status.expected, status.counts)
    most = max(lacking, key=lambda name: lacking[name])
    others = f", and of {len(lacking) - 1:,} other metrics" if len(lacking) > 1 else ""
    return (
        f"the server lacks {lacking[most]:,} of {status.expected[most]:,} rows of {most}{others}. It takes no rows"
        f" between those that it has. Bring all of them to W&B as a new run: {directory.deliver_command('--as-new')}"
    )

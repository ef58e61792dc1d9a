"""The wait at the end of a run, until delivery has brought everything to W&B."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from ups.journal.faults import notify
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status
from ups.journal.waiting import has_new_records
from ups.tracking.deliverers import Deliverer
from ups.tracking.supervisor import Supervisor

__all__ = ["deliver_leftovers", "progress_line", "wait_until_delivered"]

_POLL = 0.05  # seconds
_CLOSING = 60.0  # seconds that a delivery which is closing the run may take
_STUCK = 5.0  # seconds to wait where the server refuses the credentials, or delivery cannot write
_NOTIFY_EVERY = 5.0  # seconds, where stderr is not a terminal


def wait_until_delivered(
    directory: RunDirectory, owner: str, supervisor: Supervisor, timeout: float, *, background: bool
) -> bool:
    """Wait until the delivery of ``owner`` has finished, with a progress line. True if W&B holds every row.

    The wait ends after ``timeout`` seconds without progress, sooner where there can be none (the server refuses the
    credentials, the directory has turned read-only), or at Ctrl-C. Then it reports how many rows W&B lacks, and the
    command that delivers them; delivery in the ``background`` continues after this process.
    """
    progress: tuple[object, ...] = ()
    since = time.monotonic()
    status: Status | None = None
    with progress_line() as show:
        try:
            while time.monotonic() - since < (min(timeout, _STUCK) if supervisor.stuck else timeout):
                newest = supervisor.poll()
                if newest is not None and newest.owner == owner:
                    status = newest
                    if status.state == "finished" and supervisor.is_delivered():
                        return True
                    if status.state in ("incomplete", "undelivered"):
                        break
                    if (now := (status.state, status.rows, status.consumed_bytes, status.confirmed_rows)) != progress:
                        progress, since = now, time.monotonic()
                if not supervisor.ensure_running():
                    break
                show(status, directory.journaled_bytes())
                time.sleep(_POLL)
        except KeyboardInterrupt:
            _report_rest(directory, status, background=background)
            raise
    _report_rest(directory, status, background=background)
    return False


def deliver_leftovers(directory: RunDirectory, process: str, deliverer: Callable[[], Deliverer]) -> None:
    """Deliver the rows that wait if no other process will, after this process has let go of the run.

    Of two processes that end at the same moment, at least one delivers: each lets go of the run before it looks.
    """
    if any(other != process for other in directory.living()):
        return
    give_up = time.monotonic() + _CLOSING
    while directory.delivery_is_running() and time.monotonic() < give_up:
        status = read_status(directory)
        if status is not None and status.state == "starting":
            return  # it has not read the journals yet
        if not has_new_records(directory):
            return
        time.sleep(_POLL)
    if has_new_records(directory) and not directory.delivery_is_running():
        try:
            deliverer().start()
        except OSError as error:
            notify(f"delivery could not be started: {error}. Deliver the rest with: {directory.deliver_command()}")


def _report_rest(directory: RunDirectory, status: Status | None, *, background: bool) -> None:
    incomplete = status is not None and status.state == "incomplete"
    if status is None:
        held = "delivery has not reported yet how many rows W&B holds"
    elif status.state == "incomplete":
        held = f"W&B holds {status.held_of_all}, and no longer takes the rest under this run id"
    elif not status.rows:
        held = "no row has been handed to wandb yet"
    elif status.confirmed_rows is not None:
        held = f"W&B is known to hold {status.held_of_all}"
    else:
        held = f"{status.rows:,} rows were handed to wandb, and W&B has not confirmed them"
    gave_up = status is not None and status.state in ("incomplete", "undelivered")
    continues = "Delivery continues in the background. " if background and not gave_up else ""
    deliver = (
        f"Deliver all of them as a new run with: {directory.deliver_command('--as-new')}"
        if incomplete
        else f"Deliver the rest with: {directory.deliver_command()}"
    )
    notify(f"{held}; every row is in {directory.journal}. {continues}{deliver}")


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[Status | None, int], None]]:
    """Give a function that shows delivery's progress: a bar on a terminal, else a line every few seconds.

    The bar is drawn on a copy of stderr, which the console log does not capture.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield _plain_line()
        return
    from ups.terminal import bar, has_unicode, redrawn_line

    started, unicode = time.monotonic(), has_unicode(sys.stderr)
    with (
        open(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding) as terminal,  # noqa: PTH123
        redrawn_line(terminal) as draw,
    ):

        def show(status: Status | None, size: int) -> None:
            share, progress = 0.0, "starting"
            if status is not None:
                share, progress = status.consumed_bytes / max(size, 1), _progress(status)
            draw(f"ups: delivering {bar(share, unicode=unicode)} {progress} ({time.monotonic() - started:.0f} s)")

        yield show


def _plain_line() -> Callable[[Status | None, int], None]:
    started = shown = time.monotonic()

    def show(status: Status | None, size: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > _NOTIFY_EVERY:
            shown = time.monotonic()
            progress = _progress(status) if status is not None else "starting"
            notify(f"delivering to W&B: {progress} ({shown - started:.0f} s)")

    return show


def _progress(status: Status) -> str:
    state = {"finishing": "waiting for W&B", "starting": "connecting"}.get(status.state, status.state)
    return f"{status.rows:,} rows, {state}"

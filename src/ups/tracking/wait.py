"""Waiting at the end of a run until delivery has brought everything to W&B."""

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
_SAY_EVERY = 5.0  # seconds, where there is no terminal to draw a bar on


def wait_until_delivered(
    directory: RunDirectory, owner: str, supervisor: Supervisor, timeout: float, *, background: bool
) -> bool:
    """Wait until the delivery of ``owner`` has finished, with a progress line. True if W&B holds every row.

    Stops waiting after ``timeout`` seconds without progress, soon where there can be none (the server refuses the
    credentials, the directory has turned read-only), or at Ctrl-C; then it says what W&B does not hold and how to
    deliver it.

    Args:
        background: Whether delivery goes on when this process has ended.
    """
    progress: tuple[object, ...] = ()
    since = time.monotonic()
    status: Status | None = None
    with progress_line() as show:
        try:
            while time.monotonic() - since < (min(timeout, _STUCK) if supervisor.stuck else timeout):
                heard = supervisor.poll()
                if heard is not None and heard.owner == owner:
                    status = heard
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
            _say_what_is_left(directory, status, background=background)
            raise
    _say_what_is_left(directory, status, background=background)
    return False


def deliver_leftovers(directory: RunDirectory, process: str, deliverer: Callable[[], Deliverer]) -> None:
    """After this process has let go of the run: if rows wait and nobody is left to deliver them, deliver them.

    Two processes that end at the same moment cannot both leave rows behind: each lets go first and looks then.
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
            notify(f"delivery could not be started: {error}. To deliver what waits: {directory.deliver_command()}")


def _say_what_is_left(directory: RunDirectory, status: Status | None, *, background: bool) -> None:
    incomplete = status is not None and status.state == "incomplete"
    if status is None:
        held = "delivery has not reported yet what W&B holds"
    elif status.state == "incomplete":
        held = f"W&B holds {status.held_of_all}, and takes the rest no more under this run id"
    elif not status.rows:
        held = "nothing has been given to wandb yet"
    elif status.confirmed_rows is not None:
        held = f"W&B is known to hold {status.held_of_all}"
    else:
        held = f"{status.rows:,} rows were handed to wandb, and W&B has not confirmed them"
    gave_up = status is not None and status.state in ("incomplete", "undelivered")
    goes_on = "Delivery continues in the background. " if background and not gave_up else ""
    deliver = (
        f"To deliver all of it as a new run: {directory.deliver_command('--as-new')}"
        if incomplete
        else f"To deliver the rest: {directory.deliver_command()}"
    )
    notify(f"{held}; every row is in {directory.journal}. {goes_on}{deliver}")


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[Status | None, int], None]]:
    """Gives a function that shows how far delivery is: a bar on a terminal, else a line every few seconds.

    The bar is drawn without a thread, which a process that is ending could not start, and on a copy of stderr, so that
    it is in no console log.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield _plain_line()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("ups: delivering"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with open(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding) as terminal:  # noqa: PTH123
        console = Console(file=terminal)
        with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=None, told="starting")

            def show(status: Status | None, size: int) -> None:
                if status is not None:
                    bar.update(task, total=max(size, 1), completed=status.consumed_bytes, told=_told(status))
                bar.refresh()

            yield show


def _plain_line() -> Callable[[Status | None, int], None]:
    started = said = time.monotonic()

    def show(status: Status | None, size: int) -> None:
        nonlocal said
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            told = _told(status) if status is not None else "starting"
            notify(f"delivering to W&B: {told} ({said - started:.0f} s)")

    return show


def _told(status: Status) -> str:
    state = {"finishing": "waiting for W&B", "starting": "connecting"}.get(status.state, status.state)
    return f"{status.rows:,} rows, {state}"

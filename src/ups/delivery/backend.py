"""The processes that wandb runs for a session: find them, and end them when the session is over."""

import contextlib
import threading
from collections.abc import Iterator

import psutil

__all__ = ["alive", "end_backend", "ending_backend_after", "running_backend"]


def running_backend() -> list[tuple[int, float]]:
    """The processes that wandb runs for this one: (process id, start time)."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            # One that was killed stays behind as a zombie: wandb does not wait for it.
            if process.name().startswith("wandb-core") and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process.pid, process.create_time()))
    return found


def end_backend(backend: list[tuple[int, float]], patience: float = 3.0) -> None:
    """End the backend processes of a session that is over, so that they no longer write to its files.

    Without its owner wandb-core flushes and ends by itself; it has ``patience`` seconds for that.
    """
    _, left = psutil.wait_procs(alive(backend), timeout=patience)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=3.0)


@contextlib.contextmanager
def ending_backend_after(seconds: float, backend: list[tuple[int, float]]) -> Iterator[None]:
    """End the backend processes of a session where what is done within takes longer than that."""
    limit = threading.Timer(seconds, end_backend, args=(backend, 0.0))
    limit.daemon = True
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def alive(backend: list[tuple[int, float]]) -> list[psutil.Process]:
    """The processes of a backend that still run."""
    alive = []
    for process_id, started in backend:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(process_id)
            same = process.name().startswith("wandb-") and abs(process.create_time() - started) < 5
            if same and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive

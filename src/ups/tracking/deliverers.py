"""A run's delivery as the training process starts it: a process of its own, or a thread.

The delivery process shares no interpreter lock with the training, runs in a session of its own so that Ctrl-C
reaches only the trainer, and outlives it. ``delivery="thread"`` runs the same delivery in a thread of the training
process instead, for notebooks and debuggers.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ups.errors import UPSError
from ups.journal.run_directory import RunDirectory

__all__ = ["Deliverer", "DeliveryProcess", "DeliveryThread"]

_COMMAND = (sys.executable, "-P", "-m", "ups", "deliver", "--nice", "5")  # the training comes first


class Deliverer(Protocol):
    """A run's delivery: a process or a thread."""

    def start(self) -> None:
        """Start it."""

    def is_running(self) -> bool:
        """True while it runs."""

    def log_tail(self) -> str:
        """The last line that it printed, for a message."""


class DeliveryProcess:
    """A delivery in a process of its own.

    It links W&B's files in ``wandb_folder`` where there is one; its environment has ``variables`` over this process's.
    """

    def __init__(
        self,
        directory: RunDirectory,
        owner: str,
        wandb_folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._variables = dict(variables or {})
        self._options = ["--owner", owner]
        if wandb_folder is not None:
            self._options += ["--wandb-folder", str(wandb_folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It inherits the working directory and the environment.

        It does not inherit the address of the training's own wandb backend: delivery has a backend of its own.
        """
        own = ("UPS_RUN_DIR", "WANDB_SERVICE")
        environment = {name: value for name, value in os.environ.items() if name not in own} | self._variables
        with self._directory.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*_COMMAND, str(self._directory.path), *self._options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def is_running(self) -> bool:
        """True while it runs."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self) -> str:
        """The last line of its log."""
        try:
            lines = self._directory.log_file.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")


class DeliveryThread:
    """The same delivery in a thread of this process.

    wandb runs one backend for all runs of a process. So where a session is lost, so is any run that the process itself
    has open in wandb.
    """

    def __init__(self, directory: RunDirectory, owner: str, mode: str) -> None:
        self._directory = directory
        self._owner = owner
        self._mode = mode
        self._thread: threading.Thread | None = None
        self._last = ""

    def start(self) -> None:
        """Start it."""
        from ups.installed_wandb import load_wandb

        load_wandb()  # in this thread, since another cannot import it while the interpreter ends

        self._thread = threading.Thread(target=self._deliver, name="ups-delivery", daemon=True)
        self._thread.start()

    def is_running(self) -> bool:
        """True while it runs."""
        return self._thread is not None and self._thread.is_alive()

    def log_tail(self) -> str:
        """The error that it ended with."""
        return self._last

    def _deliver(self) -> None:
        from ups.delivery.delivery import Delivery

        try:
            Delivery(self._directory, self._mode, owner=self._owner, own_process=False).run()
        except UPSError as error:
            self._last = str(error)
        except Exception as error:
            self._last = f"{type(error).__name__}: {error}"
            raise

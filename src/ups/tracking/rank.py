"""The rank of this process in a distributed job, and the way in which the other ranks find the run of rank 0.

Nothing is configured: ``torchrun``, Slurm's ``srun`` and Open MPI set the rank in the environment. Rank 0 makes the run
and writes its name where the other ranks of the job look; they join the run as processes of their own. A name that an
earlier job left there does not count: no process of its run is alive.
"""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ups.durable import write_atomically
from ups.errors import RunDirectoryError
from ups.journal.run_directory import RunDirectory

__all__ = ["Rank", "this_rank"]

_PATIENCE = 300.0  # seconds that the other ranks wait for rank 0
_POLL = 0.05  # seconds

_begun: Counter[Path] = Counter()  # runs that this process has begun, or waited for, below each folder

# The variables of each launcher: the rank, the number of ranks, and those that identify the job.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT")),
    ("SLURM_PROCID", "SLURM_NTASKS", ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")),
)


@dataclass(frozen=True)
class Rank:
    """One of the ``size`` processes of a job: the one of this ``index``, from 0.

    Attributes:
        job: A text that is the same in all ranks of a job.
        nth: The place of the run, from 1, among the job's runs below one folder: a job may make several.
    """

    index: int
    size: int
    job: str
    nth: int = 1

    def in_next_run(self, parent: Path) -> Self:
        """This rank in the next run below ``parent``. Every rank makes the same calls, so all count alike."""
        _begun[parent] += 1
        return replace(self, nth=_begun[parent])

    def publish(self, parent: Path, run_id: str) -> None:
        """Write the run's name for the other ranks, as rank 0. The run lies below ``parent``.

        Raises:
            RunDirectoryError: The name cannot be written.
        """
        path = self._notice(parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, run_id)
        except OSError as error:
            raise RunDirectoryError(
                f"cannot write the run's name for the other ranks, in {path}: {error.strerror}"
            ) from error

    def wait_for_run(self, parent: Path, run_id: str | None) -> Path:
        """Wait, as another rank, for the directory of the run that rank 0 makes.

        Raises:
            RunDirectoryError: Rank 0 has not made a run for minutes.
        """
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            named = run_id or self._read_notice(parent)
            path = parent / named if named else None
            if path is not None and RunDirectory.exists(path) and _is_owned(RunDirectory(path)):
                return path
            time.sleep(_POLL)
        raise RunDirectoryError(
            f"rank {self.index} of {self.size} found no run of rank 0 below {parent} in {_PATIENCE:.0f} s: call"
            " create_wandb_context() in every rank, with the same dir, on a folder that all ranks share"
        )

    def _notice(self, parent: Path) -> Path:
        return parent / ".jobs" / hashlib.sha256(f"{self.job} {self.nth}".encode()).hexdigest()[:16]

    def _read_notice(self, parent: Path) -> str | None:
        try:
            return self._notice(parent).read_text(encoding="utf-8") or None
        except FileNotFoundError:
            return None


def this_rank(environment: Mapping[str, str] = os.environ) -> Rank | None:
    """The rank of this process; None outside a job of several ranks."""
    for index, size, names in _LAUNCHERS:
        if index in environment and size in environment:
            try:
                rank, ranks = int(environment[index]), int(environment[size])
            except ValueError:
                continue
            if ranks > 1 and 0 <= rank < ranks:
                return Rank(rank, ranks, " ".join(environment.get(name, "") for name in names))
    return None


def _is_owned(directory: RunDirectory) -> bool:
    """True where a process whose end is the run's end is alive."""
    return any(map(directory.is_alive, directory.owners()))

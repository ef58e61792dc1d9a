"""True where anything of a run's journals waits for a delivery to take it up."""

from collections.abc import Iterable, Mapping

from ups.errors import DeliveryError
from ups.tracking.journal import JournalReader
from ups.tracking.run_directory import RunDirectory
from ups.tracking.sequence import taken_up

__all__ = ["waits", "waits_beyond"]


def waits(directory: RunDirectory, processes: Iterable[str] | None = None) -> bool:
    """True where a record of these processes, by default of all, is beyond what the run's sequence has.

    False where the sequence is damaged: no delivery can take anything up, and the last one has reported it.

    Raises:
        RunDirectoryError, OSError: A journal or the sequence cannot be read.
    """
    try:
        taken = taken_up(directory.delivery / "sequence.jsonl")
    except DeliveryError:
        return False
    return waits_beyond(directory, taken, directory.processes() if processes is None else processes)


def waits_beyond(directory: RunDirectory, taken: Mapping[str, int], processes: Iterable[str]) -> bool:
    """True where a record of these processes is beyond the bytes of each journal that were ``taken``.

    The end of a journal that a crash has cut is not a record: it waits for nobody.

    Raises:
        RunDirectoryError, OSError: A journal cannot be read.
    """
    for process in processes:
        reader = JournalReader(directory.journal_of(process), taken.get(process, 0))
        if next(reader.read(), None) is not None:
            return True
    return False

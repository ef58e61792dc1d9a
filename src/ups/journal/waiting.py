"""Whether anything of a run's journals waits to be delivered."""

from collections.abc import Iterable, Mapping

from ups.errors import DeliveryError
from ups.journal.ledger import consumed
from ups.journal.reader import JournalReader
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status

__all__ = ["beyond", "not_taken_up", "waits"]


def waits(directory: RunDirectory, processes: Iterable[str] | None = None) -> bool:
    """True where W&B may lack something that these processes, by default all, have journaled.

    That is so until the newest delivery has reported that W&B holds every row, and again as soon as a record is
    journaled that no delivery has taken up.

    Raises:
        RunDirectoryError, OSError: The status, a journal or the ledger cannot be read.
    """
    status = read_status(directory)
    if status is None or status.state != "finished":
        return True
    return status.consumed_bytes != directory.journaled_bytes() and not_taken_up(directory, processes)


def not_taken_up(directory: RunDirectory, processes: Iterable[str] | None = None) -> bool:
    """True where a record of these processes, by default of all, is beyond what the run's ledger has.

    False where the ledger is damaged: no delivery can take anything up, and the last one has reported it.

    Raises:
        RunDirectoryError, OSError: A journal or the ledger cannot be read.
    """
    try:
        offsets = consumed(directory.ledger_file)
    except DeliveryError:
        return False
    return beyond(directory, offsets, directory.processes() if processes is None else processes)


def beyond(directory: RunDirectory, offsets: Mapping[str, int], processes: Iterable[str]) -> bool:
    """True where a journal of these processes holds a record behind the offset that was consumed of it, in bytes.

    The end of a journal that a crash has cut is not a record: it waits for nobody.

    Raises:
        RunDirectoryError, OSError: A journal cannot be read.
    """
    for process in processes:
        reader = JournalReader(directory.journal_of(process), offsets.get(process, 0))
        if next(reader.read(), None) is not None:
            return True
    return False

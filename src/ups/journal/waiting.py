"""The one answer to whether anything of a run waits to be delivered."""

from collections.abc import Iterable

from ups.errors import DeliveryError
from ups.journal.ledger import spans_of
from ups.journal.reader import JournalReader
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status

__all__ = ["has_new_records", "waits"]


def waits(directory: RunDirectory) -> bool:
    """True where W&B may lack something that the run's processes have journaled.

    That is so until the newest delivery has reported that W&B holds every row, and again as soon as a journal has a
    record that no delivery has taken up.

    Raises:
        RunDirectoryError, OSError: The status, a journal or the ledger cannot be read.
    """
    status = read_status(directory)
    if status is None or status.state != "finished":
        return True
    return status.consumed_bytes != directory.journaled_bytes() and has_new_records(directory)


def has_new_records(directory: RunDirectory, processes: Iterable[str] | None = None) -> bool:
    """True where a journal of these processes, by default of all, has a record that no delivery has taken up.

    False where the ledger is damaged: no delivery can take anything up, and the last one has reported it. A line that
    a crash has cut at the end of a journal is not a record.

    Raises:
        RunDirectoryError, OSError: A journal or the ledger cannot be read.
    """
    try:
        offsets = {span.process: span.end for span in spans_of(directory)}
    except DeliveryError:
        return False
    readers = (
        JournalReader(directory.journal_of(process), offsets.get(process, 0))
        for process in (directory.processes() if processes is None else processes)
    )
    return any(next(reader.read(), None) is not None for reader in readers)

"""A copy of a run's journals under a fresh run id, for a run that W&B can no longer complete."""

import dataclasses
import os
import shutil

from ups.durable import write_new
from ups.errors import RunDirectoryError, UsageError
from ups.journal.run_directory import RunDirectory, new_run_id
from ups.journal.run_manifest import manifest_text
from ups.journal.untrusted import check_folder

__all__ = ["copy_as_new"]


def copy_as_new(directory: RunDirectory) -> RunDirectory:
    """Make a run of a fresh id from the journals of ``directory``, in a folder beside it. The original stays as it is.

    Raises:
        UsageError: A process of the run lives.
        RunDirectoryError: Something in it leads out of it, or the copy cannot be written.
    """
    living = directory.living()
    if living:
        raise UsageError(f"{directory.path} is being trained by {living[0]}: copy it once that has ended")
    run_id = new_run_id()
    copy = RunDirectory.make(directory.path.parent, run_id)
    manifest = dataclasses.replace(directory.read_manifest(), run_id=run_id)
    try:
        for source, target in (
            (directory.journal, copy.journal),
            (directory.console, copy.console),
            (directory.media, copy.media),
        ):
            if source.is_dir():
                check_folder(source, directory.path)
                shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_link_or_copy, ignore=_MARKS)
        write_new(copy.manifest_file, manifest_text(manifest))
    except (OSError, shutil.Error) as error:
        raise RunDirectoryError(f"cannot copy {directory.path} to {copy.path}: {error}") from error
    return copy


_MARKS = shutil.ignore_patterns("*.alive", ".*")


def _link_or_copy(source: str, target: str) -> str:
    """Give a file, which no process writes any more, a second name; copy it where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target

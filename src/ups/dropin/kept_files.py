"""Files that a script gives to W&B, kept in its run directory as they are at the call."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import ArtifactRecord

    from ups.journal.run_directory import RunDirectory

__all__ = ["keep_artifact", "keep_file"]


def keep_file(path: Path) -> None:
    """Put a file's content in the place of the link to it that ``run.save`` makes.

    It is there from then on, also where the original is replaced or removed.

    Raises:
        OSError: It cannot be linked or copied.
    """
    if path.is_symlink():
        held = path.with_name(f".{path.name}.kept")
        held.unlink(missing_ok=True)
        _link_or_copy(path.resolve(), held)
        held.replace(path)


def keep_artifact(artifact: ArtifactRecord, directory: RunDirectory) -> None:
    """Keep the files of an artifact in a run directory, and name them in its manifest relative to that.

    Raises:
        OSError: One cannot be linked or copied.
    """
    for entry in artifact.manifest.contents:
        if entry.local_path:
            path = directory.artifacts / (artifact.client_id[:32] or artifact.digest) / entry.path
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(Path(entry.local_path), path)
            entry.local_path = path.relative_to(directory.path).as_posix()


def _link_or_copy(original: Path, path: Path) -> None:
    """Link a file, which costs no space, or copy it where that cannot be done."""
    try:
        os.link(original, path)
    except OSError:
        shutil.copyfile(original, path)

"""Files that a script gives to W&B, kept in its run directory as they are at the call."""

from __future__ import annotations

import gzip
import json
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

    The manifest of an artifact with very many files is itself a file, which is kept too.

    Raises:
        OSError: One cannot be linked or copied.
    """
    folder = directory.artifacts / (artifact.client_id[:32] or artifact.digest)
    for entry in artifact.manifest.contents:
        if entry.local_path:
            entry.local_path = _keep(Path(entry.local_path), folder / entry.path, directory)
    given = artifact.manifest.manifest_file_path
    if given:
        path = folder.with_name(f"{folder.name}.manifest.gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(given, "rt", encoding="utf-8") as read, gzip.open(path, "wt", encoding="utf-8") as written:
            for line in read:
                content = json.loads(line)
                if content.get("local_path"):
                    content["local_path"] = _keep(Path(content["local_path"]), folder / content["path"], directory)
                written.write(json.dumps(content) + "\n")
        artifact.manifest.manifest_file_path = path.relative_to(directory.path).as_posix()


def _keep(original: Path, path: Path, directory: RunDirectory) -> str:
    """Keep a file; return its path in the run directory."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _link_or_copy(original, path)
    return path.relative_to(directory.path).as_posix()


def _link_or_copy(original: Path, path: Path) -> None:
    """Link a file, which costs no space, or copy it where that cannot be done."""
    try:
        os.link(original, path)
    except OSError:
        shutil.copyfile(original, path)

"""Disks whose power can be cut: all that was synced is there afterwards, and a random part of the rest."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from waiting import wait_for

__all__ = ["Disk", "DiskKind", "Ext4Disk", "SimulatedDisk", "make_disk", "why_no_ext4"]

DiskKind = Literal["ext4", "simulated"]

# How ext4 is mounted. Without delayed allocation a commit brings the data of its files too, at an earlier instant than
# their own writeback; without order between the two, a file may have its new size and zeros in it.
EXT4_OPTIONS = ("commit=5", "commit=1", "commit=2,noauto_da_alloc", "commit=1,nodelalloc", "nodelalloc,data=writeback")

_SHUT_DOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
_WITHOUT_FLUSH = struct.pack("I", 2)  # EXT4_GOING_FLAGS_NOLOGFLUSH
_SIZE = 1 << 30  # bytes; the image is sparse


class Disk(Protocol):
    """A folder that is a disk of its own.

    Attributes:
        path: The folder.
        options: How it is mounted.
        variables: The environment that a process which writes there needs.
    """

    path: Path
    options: str
    variables: dict[str, str]

    def cut(self) -> None:
        """Cut the power: from now on nothing more reaches the disk."""

    def restart(self) -> None:
        """Show in ``path`` what reached the disk. All processes that used it have ended."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def make_disk(kind: DiskKind, folder: Path, chance: random.Random) -> Disk:
    """A disk in ``folder``; how it treats what is not synced follows from ``chance``."""
    return Ext4Disk(folder, chance.choice(EXT4_OPTIONS)) if kind == "ext4" else SimulatedDisk(folder, chance)


class Ext4Disk:
    """An ext4 file system in an image, on a loop device.

    The cut is that of the kernel's own crash tests: the file system is shut down, its log not flushed. No page and no
    commit gets into the image any more, and the next mount replays the log. The result is that of a copy of the image
    taken at one instant. A line that was appended to a block that was synced before is often zeros then: the file's
    size was committed, and its page not written.
    """

    def __init__(self, folder: Path, options: str) -> None:
        memory = Path("/dev/shm")  # its writes take no time, and no real disk is worn
        self._folder = tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else folder)
        self._image = Path(self._folder.name) / "image"
        self.options = options
        self._mounted = False
        self.path = folder / "disk"
        self.variables: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.path.mkdir()
            with self._image.open("wb") as image:
                image.truncate(_SIZE)
            _run("mkfs.ext4", "-q", "-F", str(self._image))
            self._mount()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._unmount()
        finally:
            self._folder.cleanup()

    def cut(self) -> None:
        """Shut the file system down."""
        root = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(root, _SHUT_DOWN, _WITHOUT_FLUSH)
        finally:
            os.close(root)

    def restart(self) -> None:
        """Mount it again."""
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", f"loop,{self.options}", str(self._image), str(self.path))
        self._mounted = True

    def _unmount(self) -> None:
        """Unmount, as soon as nobody has a file open: a killed process has until it is gone."""

        def unmounted() -> bool:
            return subprocess.run(["umount", self.path], capture_output=True, check=False).returncode == 0

        if not self._mounted:
            return
        try:
            wait_for(unmounted, 10, f"{self.path} is busy")
        except AssertionError:
            _run("umount", "--lazy", str(self.path))
            raise
        finally:
            self._mounted = False


class SimulatedDisk:
    """A folder of which a cut leaves what was synced, where no file system can be mounted.

    The processes keep a record (``synced/sitecustomize.py``) of each file's size, and each folder's names, when they
    were synced last. What came behind that size is there, or missing, or zeros, as a whole or from some byte on; the
    names are those of the last sync or the newest. Each folder and each file is treated by itself, where a journaling
    file system keeps some order: it is the harder test. W&B's own files are not synced at all.
    """

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.options = ""
        self._chance = chance
        self._record = folder / "record"
        self._sizes: dict[int, int] = {}
        self._names: dict[int, dict[str, int]] = {}
        self.path = folder / "disk"
        self.path.mkdir()
        own = [str(Path(__file__).with_name("synced"))]
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([*own, inherited] if inherited else own)
        self.variables = {"PYTHONPATH": path, "POWER_CUT_RECORD": str(self._record)}

    def __enter__(self) -> Self:
        self._begin_record()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._record, ignore_errors=True)

    def cut(self) -> None:
        """Do nothing: the processes have been killed, and nobody else writes."""

    def restart(self) -> None:
        """Put a folder in the place of the old one, with what reached the disk."""
        self._sizes, self._names = {}, {}
        for line in self._lines():
            if "names" in line:
                self._names[line["inode"]] = line["names"]
            else:
                self._sizes[line["inode"]] = line["size"]
        before = self.path.with_name("before")
        self.path.rename(before)
        self._restore(before, self.path)
        shutil.rmtree(before)
        shutil.rmtree(self._record)
        self._begin_record()

    def _lines(self) -> list[dict[str, Any]]:
        path = self._record / "record"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def _restore(self, old: Path, new: Path) -> None:
        new.mkdir()
        current = {entry.name: entry.inode() for entry in os.scandir(old)}
        synced = self._names.get(old.stat().st_ino, {})
        for name, inode in sorted(self._chance.choice((synced, current)).items()):
            source = old / name if current.get(name) == inode else self._record / str(inode)
            if source.is_symlink():
                (new / name).symlink_to(source.readlink())
            elif source.is_dir():
                self._restore(source, new / name)
            elif source.is_file():
                (new / name).hardlink_to(source)  # so that it has the number and the time that it had
                self._take_from(new / name, self._sizes.get(inode, 0))
            else:  # replaced since, and never synced
                (new / name).touch()

    def _take_from(self, path: Path, synced: int) -> None:
        found, content = path.stat(), path.read_bytes()
        left = self._left_of(content, synced)
        if left != content:
            with path.open("r+b") as file:
                file.write(left)
                file.truncate()
            os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _left_of(self, content: bytes, synced: int) -> bytes:
        """``content`` up to ``synced``, and a random part of the rest."""
        size = len(content)
        if size <= synced:
            return content
        first, second = sorted(self._chance.randint(synced, size) for _ in range(2))
        return self._chance.choice(
            (
                content,
                content[:synced],
                content[:first],
                content[:first] + bytes(size - first),
                content[:first] + bytes(second - first) + content[second:],
            )
        )

    def _begin_record(self) -> None:
        """Begin a record in which all that is there now is synced."""
        self._record.mkdir()
        with (self._record / "record").open("w") as record:
            for root, _, files in os.walk(self.path):
                folder = Path(root)
                names = {entry.name: entry.inode() for entry in os.scandir(folder)}
                record.write(json.dumps({"inode": folder.stat().st_ino, "names": names}) + "\n")
                for path in map(folder.joinpath, files):
                    if not path.is_symlink():
                        found = path.stat()
                        with contextlib.suppress(FileExistsError):  # a file with two names
                            (self._record / str(found.st_ino)).hardlink_to(path)
                        record.write(json.dumps({"inode": found.st_ino, "size": found.st_size}) + "\n")


@functools.cache
def why_no_ext4() -> str | None:
    """The reason why no image can be mounted here; None where one can."""
    if sys.platform != "linux":
        return f"no loop devices on {sys.platform}"
    if os.geteuid() != 0:
        return "only root may mount"
    if not shutil.which("mkfs.ext4"):
        return "mkfs.ext4 is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Ext4Disk(Path(folder), EXT4_OPTIONS[0]) as disk:
                disk.cut()
                disk.restart()
        except (OSError, AssertionError) as error:
            return f"no image can be mounted and cut: {error}"
    return None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")

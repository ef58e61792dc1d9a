"""Repairs of runs that somebody else made: what lies outside of them stays there, and what is no record is left out."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from repair.repaired import original
from repair.test_write import repair
from runfile.test_hostile import CONFIG, METRIC, item, row
from soak.mutants import framed, message_of, records_of, sized
from ups.errors import RunFileError
from ups.repair import Written, plan_repair, write_repair
from ups.runfile.framing import FrameReader
from ups.runfile.records import Kind, Record, find_payloads
from ups.runs import open_run

EXIT = 18


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The ``files`` of a copy of a run that a repair changes."""
    shutil.copytree(original("frozen"), tmp_path / "run", symlinks=True)
    (folder,) = (tmp_path / "run" / "wandb").glob("offline-run-*/files")
    return folder


def repaired(folder: Path) -> Written:
    """Repair the run in ``folder / "run"``."""
    return write_repair(plan_repair(open_run(folder / "run"), run_id="copy"), folder / "out")


def test_what_leads_out_of_the_run_is_not_copied(files: Path, tmp_path: Path) -> None:
    """A link to a file or a folder elsewhere, straight or over another link: left out, said and noted."""
    secret = tmp_path / "elsewhere" / "id_rsa"
    secret.parent.mkdir()
    secret.write_text("private key")
    (files / "media").mkdir()
    (files / "media" / "picture.png").symlink_to(secret)
    (files / "media" / "again.png").symlink_to("picture.png")
    (files / "media" / "images").symlink_to(secret.parent)
    (files / "media" / "up.png").symlink_to("../../../../../elsewhere/id_rsa")
    (files / "note.txt").write_text("note")
    done = repair(tmp_path / "run", "-o", tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    assert done.returncode == 0
    assert {path.name for path in (folder / "files" / "media").iterdir()} == set()
    assert (folder / "files" / "note.txt").read_text() == "note"
    assert not [path for path in folder.rglob("*") if path.is_file() and b"private key" in path.read_bytes()]
    for said in (done.stderr, (folder / "repair.txt").read_text()):
        assert said.count("not copied: ") == 4
        assert f"media/picture.png leads out of the run's folder, to {secret}" in said


def test_a_linked_folder_of_files_is_not_copied(files: Path, tmp_path: Path) -> None:
    """Also where ``files`` itself is the link."""
    files.rename(tmp_path / "elsewhere")
    files.symlink_to(tmp_path / "elsewhere")
    written = repaired(tmp_path)
    assert list((written.folders[0] / "files").iterdir()) == []
    assert written.left_out == (f"{files} is a link: what it leads to is not copied",)


def test_a_link_within_the_run_is_copied_as_its_file(files: Path, tmp_path: Path) -> None:
    """One that leads nowhere, to itself or around is left out, as are a pipe and a socket."""
    (files / "note.txt").write_text("note")
    (files / "link").symlink_to("note.txt")
    (files / "itself").symlink_to("itself")
    (files / "nowhere").symlink_to("gone")
    (files / "around").symlink_to(".")
    os.mkfifo(files / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(files / "socket"))
    written = repaired(tmp_path)
    copied = written.folders[0] / "files"
    assert ((copied / "link").read_text(), (copied / "link").is_symlink()) == ("note", False)
    assert [line.removeprefix(f"{files}/") for line in written.left_out] == [
        "around is a link to a folder",
        "itself leads nowhere",
        "nowhere leads nowhere",
        "pipe is a named pipe",
        "socket is a socket",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_file_that_cannot_be_read_is_named(files: Path, tmp_path: Path) -> None:
    """The repair stops, and leaves nothing."""
    (files / "closed").write_text("closed")
    (files / "closed").chmod(0)
    with pytest.raises(RunFileError, match=r"closed cannot be copied: Permission denied"):
        repaired(tmp_path)
    assert not list(tmp_path.glob("out/*"))


def made(folder: Path, *records: bytes) -> Path:
    """A run of these records."""
    (folder / "run").mkdir()
    (folder / "run" / "run-made.wandb").write_bytes(framed(list(records)))
    return folder


def test_what_is_no_text_is_left_out_alone(tmp_path: Path) -> None:
    """A definition and a configuration are left out whole, of a row the item alone; the rest is in the copy."""
    bad = b"\xff\xfe"
    records = [
        *records_of("frozen")[:8],
        sized(METRIC, sized(1, bad)),
        sized(CONFIG, item(bad, b"1")),
        *(row(item(b"loss", b"%d" % step), item(bad, b"1"), step=step % 2) for step in range(4)),
    ]
    written = repaired(made(tmp_path, *records))
    (file,) = written.folders[0].glob("*.wandb")
    run = open_run(file)
    column = run.column("loss")
    assert column is not None
    assert column.values.tolist() == [0, 1, 2, 3]
    assert not run.damage
    assert not run.nameless
    for batch in FrameReader(file):
        for record in batch.records():
            Record(record)


def test_rows_behind_the_end_of_a_run_are_written_before_it(tmp_path: Path) -> None:
    """Records out of order: the copy ends with the record of the end."""
    end = sized(EXIT, b"")
    rows = [row(item(b"loss", b"%d" % step), step=step) for step in (0, 1, 1, 2)]
    written = repaired(made(tmp_path, *rows[:2], end, *rows[2:]))
    (file,) = written.folders[0].glob("*.wandb")
    kinds = [kind for batch in FrameReader(file) for kind in find_payloads(batch).kind.tolist()]
    assert [kind for kind in kinds if kind in (Kind.HISTORY, Kind.EXIT)] == [*[Kind.HISTORY] * 4, Kind.EXIT]


def test_a_row_that_only_a_later_segment_holds_is_written_in_its_place(tmp_path: Path) -> None:
    """A UPS run's segments tell rows apart by their step: those behind the missing one wait for it."""
    segments = ((0, 1, 3, 4), (2, 3, 5))
    for second, steps in enumerate(segments):
        segment = tmp_path / "run" / "wandb" / f"offline-run-20260101_00000{second}-made"
        segment.mkdir(parents=True)
        rows = [row(item(b"loss", b"%d" % step), item(b"bad", b"1"), step=step) for step in steps]
        torn = framed([*rows, b"\x12" * 40])[:-9]
        (segment / "run-made.wandb").write_bytes(torn)
    (tmp_path / "run" / "run.json").write_text('{"stages": []}')
    written = repaired(tmp_path)
    values = [
        (second, value)
        for second, folder in enumerate(written.folders)
        for column in [open_run(folder).column("loss")]
        if column is not None
        for value in column.values.tolist()
    ]
    assert values == [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5)]


def test_a_time_that_is_none_is_no_start_of_a_run(tmp_path: Path) -> None:
    """A run whose own record is damaged takes its start from its first row, where that has a time."""
    rows = [row(item(b"loss", b"1"), item(b"_timestamp", b"NaN"), step=step) for step in (0, 0)]
    written = repaired(made(tmp_path, *rows))
    assert written.rows == 2


def test_an_artifact_that_is_no_record_is_copied_as_it_is(tmp_path: Path) -> None:
    """Its run is changed only where all of it can be read."""
    good, bad = sized(8, sized(1, b"made")), sized(8, sized(1, b"made") + b"\xff")
    run = message_of([])
    rows = [row(item(b"loss", b"1")), row(item(b"loss", b"1"))]
    named = sized(17, sized(1, b"made"))
    written = repaired(made(tmp_path, named, good, bad, *rows, run))
    (file,) = written.folders[0].glob("*.wandb")
    copied = [record[2:] for batch in FrameReader(file) for record in batch.records()]
    assert sized(8, sized(1, b"copy")) in copied
    assert bad in copied

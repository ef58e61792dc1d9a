"""Descriptors that a program closes, and threads that log in a forked child: UPS writes to its own files alone."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from held import read_held
from memory import peak_memory
from ups.journal import liveness
from ups.journal.own_descriptor import OwnDescriptor
from ups.journal.reader import JournalReader
from ups.journal.writer import Journal

Script = Callable[..., "subprocess.CompletedProcess[str]"]

DAEMONISED = """
import os, sys, time, ups
ctx = ups.create_wandb_context({}, "r", mode="offline")
print("kept by the console log")
for step in range(100):
    ctx.stage("a").log(step, loss=1.0)
time.sleep(2)
os.closerange(3, int(sys.argv[1]))
mine = [open(f"mine{k}", "wb", buffering=0) for k in range(40)]
for file in mine:
    file.write(b"MODEL")
for step in range(100, 300):
    ctx.stage("a").log(step, loss=1.0)
    print("printed", step)
    time.sleep(0.002)
ctx.finish()
assert all(os.stat(f.fileno()) for f in mine), "finish() has closed a file of the program"
"""


@pytest.mark.parametrize("closed", [256, 1_000_000], ids=["low", "all"])
def test_a_program_that_closes_every_descriptor_loses_no_row(script: Script, closed: int) -> None:
    """Its own files hold what it wrote, all its rows are in W&B, and the run ends well."""
    done = script(DAEMONISED, str(closed))
    assert {Path(f"mine{k}").read_bytes() for k in range(40)} == {b"MODEL"}
    held = read_held(Path("ups-runs/r"))
    assert [x for x, _ in held.stage("a")] == list(range(300))
    assert held.exit_codes[-1] == 0
    assert "printed 299" in held.console
    assert ("has closed the descriptor" in done.stderr) == (closed > 4096)


FORKED = """
import os, sys, threading, time, ups
ctx = ups.create_wandb_context({}, "r", mode="offline")
stop = threading.Event()
def busy(k):
    step = 0
    while not stop.is_set():
        ctx.stage(f"t{k}").log(step, loss=1.0)
        step += 1
        time.sleep(0.001)
threads = [threading.Thread(target=busy, args=(k,)) for k in range(3)]
for thread in threads: thread.start()
children = []
for child in range(6):
    time.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        bad, together = [], threading.Barrier(8)
        def work(k):
            try:
                together.wait()
                for step in range(50):
                    ctx.stage(f"c{child}k{k}").log(step, loss=1.0)
            except BaseException as error:
                bad.append(error)
        workers = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for worker in workers: worker.start()
        for worker in workers: worker.join()
        os._exit(len(bad))
    children.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in children]
stop.set()
for thread in threads: thread.join()
ctx.finish()
assert codes == [0] * 6, codes
"""


def test_threads_of_a_forked_child_share_one_journal(script: Script) -> None:
    """Eight threads that log their first row at one instant, in each child of a busy trainer: every row is held."""
    done = script(FORKED)
    held = read_held(Path("ups-runs/r"))
    for child in range(6):
        for thread in range(8):
            assert [x for x, _ in held.stage(f"c{child}k{thread}")] == list(range(50))
    assert len(list(Path("ups-runs/r/journal").glob("*.jsonl"))) == 7
    assert "went back" not in done.stderr


def test_a_number_that_was_handed_on_is_not_written_to(tmp_path: Path) -> None:
    """A descriptor compares its number with the file, opens the file again, and closes nothing that has its number."""
    own = OwnDescriptor(tmp_path / "own", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    assert not own.ensure()
    os.close(own.number)
    stranger = os.open(tmp_path / "stranger", os.O_RDWR | os.O_CREAT)
    os.dup2(stranger, own.number)
    taken = own.number
    assert not own.is_own()
    assert own.ensure()
    assert own.number != taken
    os.write(own.number, b"own")
    os.dup2(stranger, own.number)
    own.close()
    os.write(stranger, b"theirs")
    assert (tmp_path / "own").read_bytes() == b"own"
    assert (tmp_path / "stranger").read_bytes() == b"theirs"


def test_a_journal_whose_file_was_replaced_keeps_its_lines_in_memory(tmp_path: Path) -> None:
    """Where another file has the journal's name, nothing is written to that, and the failure is reported."""
    failures: list[OSError | None] = []
    journal = Journal(tmp_path / "j", on_failure=failures.append, on_loss=lambda: None, on_reopening=lambda: None)
    journal.append(b'{"time":1}\n')
    (tmp_path / "j").rename(tmp_path / "moved")
    (tmp_path / "j").write_text("another")
    os.close(journal._number)
    journal.append(b'{"time":2}\n')
    assert isinstance(failures[-1], FileNotFoundError)
    assert (tmp_path / "j").read_text() == "another"
    (tmp_path / "moved").replace(tmp_path / "j")
    journal.append(b'{"time":3}\n')
    assert failures[-1] is None
    assert journal.close() == 0
    assert (tmp_path / "j").read_text() == '{"time":1}\n{"time":2}\n{"time":3}\n'


def test_the_numbers_are_near_the_limit(tmp_path: Path) -> None:
    """A number that the kernel gives last; with a low limit too, and not above what a fork can copy quickly."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (128, soft):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            own = OwnDescriptor(tmp_path / f"own{limit}", os.O_WRONLY | os.O_CREAT)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert min(limit, 4096) - 64 <= own.number < min(limit, 4096)
        own.close()


def test_a_mark_whose_descriptor_was_closed_is_held_again(tmp_path: Path) -> None:
    """The lock goes with the descriptor; the process takes it again as soon as it looks."""
    mark = tmp_path / "p.alive"
    assert liveness.hold(mark)
    os.close(liveness._held[mark.resolve()].number)
    liveness.keep(mark)
    probe = os.open(mark, os.O_RDONLY)
    assert not liveness._try_lock(mark, probe, shared=True)
    os.close(probe)
    liveness.release(mark)


def test_a_line_without_end_takes_no_memory(tmp_path: Path) -> None:
    """Zeros that a power cut has left behind a journal's rows are passed over a piece at a time."""
    folder = tmp_path / "r" / "journal"
    folder.mkdir(parents=True)
    journal = folder / "p.jsonl"
    journal.write_bytes(b'{"time":1.0,"values":{"a":1}}\n')
    with journal.open("ab") as file:
        file.truncate(300_000_000)
    before = peak_memory()
    reader = JournalReader(journal)
    assert [record["values"] for record, _ in reader.read()] == [{"a": 1}]
    assert peak_memory() - before < 100_000  # kB
    assert reader.damaged > 0
    with journal.open("ab") as file:
        file.write(b'\n{"time":2.0,"values":{"a":2}}\n')
    assert [record["values"] for record, _ in reader.read()] == [{"a": 2}]

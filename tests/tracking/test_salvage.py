"""Damage in a run's directory costs itself alone: the rest is delivered, and it is said what was passed over."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ups
from held import read_held
from memory import PRINT_PEAK
from run_directories import PROCESS, deliver, row, write_run
from ups.errors import UsageError
from ups.journal.record_types import decode_record
from ups.journal.run_directory import RunDirectory
from ups.journal.untrusted import is_plain, parse
from wandb_server import WandBServer, run_client, run_sync

Script = Callable[..., "subprocess.CompletedProcess[str]"]
DEEP = "[" * 2000 + "]" * 2000

STAGED = """
import sys, ups
with ups.create_wandb_context({}, "r", project="p", resume=True) as ctx:
    for step in range(400):
        ctx.stage(sys.argv[1]).log(step, loss=step + 0.5)
"""


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_a_journal_that_lost_its_end_leaves_the_next_stage_whole(
    wandb_server: WandBServer, tmp_path: Path, mode: str
) -> None:
    """W&B holds more than the journal: rows logged after that are new ones, each delivered once."""
    run_client(wandb_server, tmp_path, STAGED, "first", WANDB_MODE=mode)
    (journal,) = (tmp_path / "ups-runs" / "r" / "journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:100]) + lines[100][:20])
    printed = run_client(wandb_server, tmp_path, STAGED, "second", WANDB_MODE=mode)
    assert "rows that were taken up are no longer in the journals" in printed
    if mode == "offline":
        folders = RunDirectory(tmp_path / "ups-runs" / "r").segments()
        run_sync(wandb_server, tmp_path, *[segment.parent for segment in folders])
    run = wandb_server.run("r")
    for stage in ("first", "second"):
        held = run.points(f"training/{stage}/step", f"training/{stage}/loss")
        assert held == [(step, step + 0.5) for step in range(400)]


def test_a_sequence_that_lost_its_end_is_continued(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A line that was cut off, or zeros behind the last, stand for nothing that W&B was given."""
    run_client(wandb_server, tmp_path, STAGED, "first", WANDB_MODE="offline")
    with (tmp_path / "ups-runs" / "r" / "delivery" / "sequence.jsonl").open("ab") as file:
        file.write(b'{"journal": "x", "sta' + bytes(5000))
    run_client(wandb_server, tmp_path, STAGED, "second", WANDB_MODE="offline")
    held = read_held(tmp_path / "ups-runs" / "r")
    assert [x for x, _ in held.stage("first")] == [x for x, _ in held.stage("second")] == list(range(400))


def test_a_sequence_of_an_older_ups_is_continued(wandb_server: WandBServer, tmp_path: Path) -> None:
    """One whose stretches say nothing of rows: they are counted as they are read."""
    run_client(wandb_server, tmp_path, STAGED, "first")
    sequence = tmp_path / "ups-runs" / "r" / "delivery" / "sequence.jsonl"
    entries = [json.loads(line) for line in sequence.read_text().splitlines()]
    older = [{name: value for name, value in entry.items() if name != "rows"} for entry in entries]
    assert older != entries
    sequence.write_text("".join(json.dumps(entry) + "\n" for entry in older))
    run_client(wandb_server, tmp_path, STAGED, "second")
    run = wandb_server.run("r")
    for stage in ("first", "second"):
        assert [x for (x,) in run.points(f"training/{stage}/step")] == list(range(400))


ODD_RECORDS = [
    f'{{"time": 1.0, "config": {DEEP}}}'.encode(),
    b'{"time": 1.0, "config": {"a": ' + DEEP.encode() + b"}}",
    b'{"time": 1.0, "stage": "a", "step": 1, "values": {"loss": "text"}}',
    b'{"time": 1.0, "stage": "a", "step": 1, "values": {"loss": [1]}}',
    b'{"time": 1.0, "stage": "a", "step": 1, "values": {"loss": true}}',
    b'{"time": 1.0, "stage": "a", "step": 1, "values": {"lo*ss": 1}}',
    b'{"time": 1.0, "stage": "a b", "step": 1, "values": {"loss": 1}}',
    b'{"time": 1.0, "stage": "a", "step": 1e3, "values": {"loss": 1}}',
    b'{"time": 1.0, "stage": "a", "step": 99999999999999999999, "values": {"loss": 1}}',
    b'{"time": 1.0, "values": null}',
    b'{"time": NaN, "values": {"a": 1}}',
    b'{"time": 1.0, "summary": {"a": [1]}}',
    b'{"time": 1.0, "alert": {"title": "t", "text": "x", "level": "LOUD"}}',
    b'{"time": 1.0, "alert": ["t"]}',
    b'{"time": 1.0, "tags": [1]}',
    b'{"time": 1.0, "end": {"exit_code": "0"}}',
    b'{"time": 1.0, "image": "i", "path": "p", "caption": 7}',
    b"\xff\xfe\x00",
    bytes(100),
]


@pytest.mark.parametrize("record", ODD_RECORDS, ids=range(len(ODD_RECORDS)))
def test_an_odd_record_is_none(record: bytes) -> None:
    """What no training writes is not taken up."""
    assert decode_record(record) is None


@pytest.mark.parametrize(
    "record",
    [
        {"time": 1.0, "stage": "a", "step": 1, "values": {"loss": 0.5, "n": 2, "x/y": float("nan")}},
        {"time": 1, "values": {"a": -(2**63)}},
        {"time": 1.0, "config": {"a": {"b": [1, None, "x"]}}},
        {"time": 1.0, "summary": {"a": 1, "b": "x", "c": True}},
        {"time": 1.0, "alert": {"title": "t", "text": "", "level": "INFO", "more": 1}},
        {"time": 1.0, "image": "i", "path": "p", "caption": None},
        {"time": 1.0, "end": {"exit_code": 3}},
    ],
)
def test_a_right_record_is_taken_as_it_is(record: dict[str, Any]) -> None:
    """What trainings write is taken, later additions included."""
    assert json.dumps(decode_record(json.dumps(record).encode())) == json.dumps(record)


def test_a_row_keeps_what_is_right_of_it(tmp_path: Path) -> None:
    """Beside a value that is none, the numbers of a row are drawn, and the damage is counted."""
    odd = {"time": 1.0, "stage": "a", "step": 1, "values": {"loss": 0.5, "text": "x", "lo*ss": 1.0, "big": 10**400}}
    record = decode_record(json.dumps(odd).encode())
    assert record is not None
    assert record["values"] == {"loss": 0.5}
    run = write_run(tmp_path / "r", [row(0), odd])
    assert "1 x" in deliver(run)
    assert [x for x, _ in read_held(run).stage("a")] == [0, 1]


def test_odd_records_cost_themselves_alone(tmp_path: Path) -> None:
    """Between rows they are passed over, counted and said; all rows are delivered, and an alert with more keys too."""
    alert = {"time": 1.0, "alert": {"title": "t", "text": "x", "level": "INFO", "colour": "red"}}
    records: list[dict[str, Any] | bytes] = [row(0), *(odd + b"\n" for odd in ODD_RECORDS), alert, row(1)]
    run = write_run(tmp_path / "r", records)
    printed = deliver(run)
    assert f"{len(ODD_RECORDS)} x" in printed
    held = read_held(run)
    assert [x for x, _ in held.stage("a")] == [0, 1]


@pytest.mark.parametrize("content", [b"", b"[]", DEEP.encode(), None], ids=range(4))
def test_a_run_whose_description_is_gone_is_delivered(tmp_path: Path, content: bytes | None) -> None:
    """By its directory's name and its journals, after a word."""
    run = write_run(tmp_path / "r", [row(0), row(1)])
    if content is None:
        (run / "run.json").unlink()
    else:
        (run / "run.json").write_bytes(content)
    printed = deliver(run, "--mode", "offline")
    assert "run.json cannot be read" in printed
    held = read_held(run)
    assert [x for x, _ in held.stage("a")] == [0, 1]
    assert held.runs[0]["run_id"] == "r"


def test_a_wrong_field_of_the_description_costs_itself_alone(tmp_path: Path) -> None:
    """A project that W&B refuses, tags of another type: left out and said; the name beside them is taken."""
    run = write_run(
        tmp_path / "r", [row(0)], name="mine", project="a/b", tags={"a": 1}, config=[1], created="now", stages=["a b"]
    )
    printed = deliver(run)
    assert "has no usable created, stages, config, project, tags" in printed
    assert read_held(run).runs[0]["display_name"] == "mine"


@pytest.mark.parametrize(
    "content", [b"7", b'{"rows": "many", "journal/x": []}', b'{"backend": [[1]]}', DEEP.encode(), bytes(100)]
)
def test_what_delivery_noted_is_made_again_where_it_is_damaged(tmp_path: Path, content: bytes) -> None:
    """A status and a cursor of any content do not hold up the rows."""
    run = write_run(tmp_path / "r", [row(0)])
    for name in ("status.json", "cursor.json"):
        (run / "delivery" / name).write_bytes(content)
    deliver(run)
    assert [x for x, _ in read_held(run).stage("a")] == [0]
    assert isinstance(json.loads((run / "delivery" / "status.json").read_text())["rows"], int)


def test_a_damaged_tail_is_delivered_past_once(tmp_path: Path) -> None:
    """A journal that ends within a line has no more to deliver: another ``ups deliver`` opens no W&B session."""
    run = write_run(tmp_path / "r", [row(0)])
    with (run / "journal" / f"{PROCESS}.jsonl").open("ab") as file:
        file.write(b'{"time": 1.0, "stage": "a", "st')
    for _ in range(3):
        deliver(run)
    assert len(RunDirectory(run).segments()) == 1


def test_zeros_behind_a_journal_take_no_memory(tmp_path: Path) -> None:
    """Half a gigabyte that a power cut has left: delivered in little memory."""
    run = write_run(tmp_path / "r", [row(0), row(1)])
    with (run / "journal" / f"{PROCESS}.jsonl").open("ab") as file:
        file.truncate(1024**3 // 2)
    measured = f"{PRINT_PEAK}import runpy; runpy.run_module('ups', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", measured, "deliver", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(done.stdout.split()[-1]) < 300_000  # kB
    assert [x for x, _ in read_held(run).stage("a")] == [0, 1]


def test_a_user_without_a_home_trains_as_any_other() -> None:
    """A user number without a passwd entry and no ``HOME``, as in a container: tracked, delivered, and soon over."""
    hidden = "mount --bind /dev/null /etc/passwd && exec env -u HOME -u USER -u LOGNAME"
    if subprocess.run(["unshare", "-m", "sh", "-c", f"{hidden} true"], check=False, capture_output=True).returncode:
        pytest.skip("/etc/passwd cannot be hidden here: not root")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "-m", "sh", "-c", f'{hidden} "$@"', "sh", sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    source = """
import ups
with ups.create_wandb_context({}, "r", mode="offline") as ctx:
    ctx.stage("a").log(0, loss=1.0)
"""
    done = run("-c", source)
    assert done.returncode == 0, done.stderr
    assert [x for x, _ in read_held(Path("ups-runs/r")).stage("a")] == [0]
    done = run("-m", "ups", "doctor")
    assert "Traceback" not in done.stderr + done.stdout


def test_a_file_size_limit_is_what_is_said(script: Script) -> None:
    """Under a limit that the journal reaches no row was logged after ``finish()``, and none is said to have been."""
    done = script(
        """
import resource, sys, ups
sys.dont_write_bytecode = True  # which would be cut off, for all
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
ctx = ups.create_wandb_context({}, "r", mode="local")
for step in range(1000):
    ctx.stage("a").log(step, loss=1.0)
ctx.finish()
import time; time.sleep(0.1)
"""
    )
    assert "could not be written" in done.stderr
    assert "after finish()" not in done.stderr


def test_a_run_that_this_process_trains_is_not_said_to_be_anothers() -> None:
    """A notebook's cell that is run again hears that the run is its own."""
    ctx = ups.create_wandb_context({}, "r", mode="local")
    try:
        with pytest.raises(UsageError, match=r"this process trains the run .* ctx\.finish\(\)"):
            ups.create_wandb_context({}, "r", mode="local", resume=True)
    finally:
        ctx.finish()


def test_a_stage_that_is_sent_to_another_process_says_how_to_join() -> None:
    """Pickled for a pool's worker, a stage or a context names the call that works there."""
    with ups.create_wandb_context({}, "r", mode="local") as ctx:
        for mine in (ctx, ctx.stage("a")):
            with pytest.raises(UsageError, match="join_wandb_context"):
                pickle.dumps(mine)


def test_nesting_is_bounded() -> None:
    """Sixty-four levels are taken; what is deeper is refused, however deep."""
    assert is_plain(parse(b"[" * 64 + b"]" * 64))
    for depth in (65, 5000, 2_000_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse(b"[" * depth + b"]" * depth)

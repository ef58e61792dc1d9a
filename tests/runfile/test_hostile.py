"""Files whose every checksum is right, and which hold what no client writes: read as far as it makes sense."""

import copy
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from runfile.real_runs import wandb_file
from soak.mutants import Field, framed, message_of, records_of, sized
from ups.charts import Definitions, fitting, matches
from ups.check import check_run
from ups.errors import RunFileError, UPSError
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import FrameReader
from ups.runfile.items import Form
from ups.runfile.records import find_payloads
from ups.runfile.run import Run
from ups.runfile.wire import MARGIN, fields_in, read_fields
from ups.runs import open_run

HISTORY, SUMMARY, CONFIG, METRIC = 2, 3, 5, 12
SIZED, VARINT = 2, 0


def item(name: bytes | list[bytes], value: bytes) -> bytes:
    """An item of a history, summary or configuration record, with its field number."""
    keys = [name] if isinstance(name, bytes) else name
    return sized(1, b"".join(sized(2, key) for key in keys) + sized(16, value))


def row(*items: bytes, step: int = 0) -> bytes:
    """A history record."""
    return sized(HISTORY, b"".join(items) + sized(2, message_of([Field(1, VARINT, step)])))


def run_of(folder: Path, *records: bytes) -> Run:
    """A run of these records."""
    file = folder / "run-made.wandb"
    file.write_bytes(framed(list(records)))
    return open_run(file)


@pytest.mark.parametrize(
    "value", [b"1.0.0", b"--1", b"1,2", b"1-2", b"1 2", b"1_0", b"0x1", b"12abc", b"1\x00", b"9" * 50 + b"x", b"-"]
)
@pytest.mark.parametrize("place", [0, 1, 4])
def test_a_value_that_is_no_number_costs_itself_alone(value: bytes, place: int, tmp_path: Path) -> None:
    """Wherever it is among numbers, the numbers are read, and it has another form."""
    values = [b"0.5", b"1.5", b"2.5", b"3.5", b"4.5"]
    values[place] = value
    run = run_of(tmp_path, *(row(item(b"loss", each), step=step) for step, each in enumerate(values)))
    column = run.column("loss")
    assert column is not None
    assert [form == Form.OTHER for form in column.forms] == [at == place for at in range(5)]
    assert np.delete(column.values, place).tolist() == [at + 0.5 for at in range(5) if at != place]
    check_run(run)


def test_a_whole_number_beyond_all_floats_is_infinite(tmp_path: Path) -> None:
    """As JSON in the older form of an item, and in the newer."""
    older = sized(1, sized(2, b"older") + sized(8, b"-" + b"9" * 400))
    run = run_of(tmp_path, row(older, item(b"newer", b"9" * 400)))
    columns = [run.column(name) for name in ("older", "newer")]
    assert [column.values.tolist() for column in columns if column is not None] == [[-np.inf], [np.inf]]


@pytest.mark.parametrize("number", [-1, (1 << 62) + 1, (1 << 63) - 1])
def test_a_step_that_nobody_can_have_counted_is_none(number: int, tmp_path: Path) -> None:
    """The row stays, in its place."""
    step = sized(2, message_of([Field(1, VARINT, number & (1 << 64) - 1)]))
    run = run_of(tmp_path, row(item(b"loss", b"1")), sized(HISTORY, item(b"loss", b"2") + step))
    steps = run.column("_step")
    assert steps is not None
    assert (run.rows, steps.values.tolist()) == (2, [0, 0])


def test_names_and_values_are_nested_no_deeper_than_can_be_gone_through(tmp_path: Path) -> None:
    """A name of 30,000 parts keeps them, joined by dots; a value as deep stays the text that it is."""
    parts, text = [b"a"] * 30_000, b"[" * 900 + b"]" * 900
    changes = item(parts, b"1") + item(b"deep", text) + item(b"fine", b'{"a": {"b": [1]}}')
    run = run_of(tmp_path, sized(CONFIG, changes), sized(SUMMARY, changes), row(item(parts, b"1")))
    for held in (run.config, run.summary):
        assert copy.deepcopy(held) == held
        assert held["deep"] == text.decode()
        assert held["fine"] == {"a": {"b": [1]}}
        depth, inner = 0, held["a"]
        while isinstance(inner, dict):
            ((key, inner),) = inner.items()
            depth += 1
        assert (depth < 100, key.count("a") + depth, inner) == (True, 30_000, 1)
    assert run.logged == [".".join(["a"] * 30_000)]


def test_names_that_differ_behind_their_500th_byte_are_two(tmp_path: Path) -> None:
    """Long names are not mixed up."""
    names = [b"n" * 600 + tail for tail in (b"1", b"2")]
    run = run_of(tmp_path, row(*(item(name, b"%d" % at) for at, name in enumerate(names))))
    columns = [run.column(name.decode()) for name in names]
    assert [column.values.tolist() for column in columns if column is not None] == [[0.0], [1.0]]


def test_a_name_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """The values without one are left out, and the check says how many there are."""
    records = [row(item(b"\xff", b"1"), item(b"loss", b"%d" % step), step=step) for step in range(3)]
    run = run_of(tmp_path, *records)
    assert run.logged == ["loss"]
    (found,) = [found for found in check_run(run).findings if found.code == "damaged-file"]
    assert "the names of 3 values cannot be read; 3 rows recovered" in found.message


def test_a_record_that_no_message_can_be_made_of_is_damage(tmp_path: Path) -> None:
    """A definition whose name is not text is reported with its place, and the rest is read."""
    bad = sized(METRIC, sized(1, b"\xff"))
    run = run_of(tmp_path, row(item(b"loss", b"1")), bad, row(item(b"loss", b"2"), step=1))
    ((_, damage),) = run.damage
    assert (run.rows, damage.length) == (2, 7 + len(bad))


@pytest.mark.parametrize(("number", "gone"), [(1 << 36, True), (1 << 60, False)])
def test_a_record_number_far_ahead_costs_no_time(number: int, gone: bool, tmp_path: Path) -> None:
    """The missing records before it are not counted one by one, and a number beyond all is ignored."""
    records = records_of("frozen")
    began = time.process_time()
    run = run_of(tmp_path, *records, message_of([Field(1, VARINT, number)]) + row())
    assert time.process_time() - began < 5
    assert [damage.missing for _, damage in run.damage] == ([number - 1 - len(records)] if gone else [])


def test_a_record_of_many_items_is_read_at_once(tmp_path: Path) -> None:
    """50,000 values in one row, under as many names, and an item of as many parts."""
    names = [b"m%d" % at for at in range(50_000)]
    began = time.process_time()
    run = run_of(tmp_path, row(*(item(name, b"1") for name in names), item([b""] * 50_000, b"2")))
    assert time.process_time() - began < 10
    assert len(run.logged) == 50_001


def test_many_globs_and_many_metrics_are_matched_in_time(tmp_path: Path) -> None:
    """2,000 globs that each fit, as many that do not, and 4,000 metrics."""

    def defined(name: str) -> bytes:
        return sized(METRIC, sized(2, name.encode()) + sized(4, name.replace("*", "step").encode()))

    definitions = [defined(f"{kind}{at}/*") for at in range(2_000) for kind in ("m", "other")]
    values = [item(f"m{at}/{metric}".encode(), b"1") for at in range(2_000) for metric in ("loss", "step")]
    run = run_of(tmp_path, *definitions, row(*values), row(*values, step=1))
    began = time.process_time()
    check = check_run(run)
    assert time.process_time() - began < 6
    assert len(check.charts) == 4_000


def test_definitions_are_found_as_one_by_one(tmp_path: Path) -> None:
    """By prefix and by folder: the same as going through all of them."""
    rng = random.Random(1)
    names = ["".join(rng.choice("ab/") for _ in range(rng.randrange(1, 6))) for _ in range(60)]
    definitions = Definitions()
    for name in names[:30]:
        definitions.define(f"{name}*", f"{name}x")
    for metric in names:
        globs = sorted((glob for glob in definitions.names() if matches(glob, metric)), key=len, reverse=True)
        assert definitions.axis(metric).metric == (globs[0][:-1] + "x" if globs else "_step")
        above = {metric[:at] for at, letter in enumerate(metric) if letter == "/"}
        around = [axis for axis in definitions.step_metrics() if axis.rpartition("/")[0] in above and "/" in axis]
        assert sorted(definitions.step_metrics_around(metric)) == sorted(
            {*around, *(axis for axis in definitions.step_metrics() if "" in above and "/" not in axis)}
        )
    asked = [*definitions.names(), *names]
    assert fitting(asked, names) == {
        name for name in asked if any(name == metric or matches(name, metric) for metric in names)
    }


def test_a_message_is_taken_apart_alike_alone_and_among_many() -> None:
    """Field by field, and many at once: the same fields of any bytes."""
    rng = random.Random(2)
    messages = [rng.randbytes(rng.randrange(1, 40)) for _ in range(3_000)]
    messages += [bytes([8]) + b"\xff" * size + b"\x01" for size in (8, 9, 10, 20)]
    data = b"".join(messages) + bytes(MARGIN)
    buffer = np.frombuffer(data, dtype=np.uint8)
    limit = np.cumsum([len(message) for message in messages])
    start = limit - [len(message) for message in messages]
    found = read_fields(buffer, start, limit)
    for at, message in enumerate(messages):
        first = next(fields_in(message), None)
        if first is None:
            assert not found.number[at]
        else:
            number, _, low, high = first
            assert (found.number[at], found.start[at] - start[at], found.end[at] - start[at]) == (number, low, high)


@pytest.mark.parametrize(
    "stages", ['{"stages": 5}', '{"stages": {"a": 1}}', "[]", "5", "[" * 100_000, '{"stages": null}']
)
def test_a_manifest_of_another_form_is_said(stages: str, tmp_path: Path) -> None:
    """``run.json`` is anybody's."""
    (tmp_path / "wandb" / "offline-run-20260101_000000-a").mkdir(parents=True)
    file = tmp_path / "wandb" / "offline-run-20260101_000000-a" / "run-a.wandb"
    file.write_bytes(wandb_file("frozen").read_bytes())
    (tmp_path / "run.json").write_text(stages)
    with pytest.raises(RunFileError, match=r"run\.json cannot be read as a UPS run's manifest"):
        open_run(tmp_path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["run.json", "run-a.wandb", "logs/debug-internal.log"])
def test_a_pipe_in_place_of_a_file_is_said(name: str, tmp_path: Path) -> None:
    """Nobody writes to it, and nobody waits for that."""
    segment = tmp_path / "wandb" / "offline-run-20260101_000000-a"
    (segment / "logs").mkdir(parents=True)
    (segment / "run-a.wandb").write_bytes(wandb_file("frozen").read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({"stages": []}))
    pipe = (tmp_path if name == "run.json" else segment) / name
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(UPSError, match=f"{pipe.name} cannot be read: it is a named pipe, not a regular file"):
        check_run(open_run(tmp_path))


def test_bytes_at_each_of_which_a_chunk_may_begin_are_passed_in_time(tmp_path: Path) -> None:
    """8 MB of them before whole blocks of a real file, which are all read."""
    data = wandb_file("many_rows").read_bytes()
    hostile = bytes([1, 0x7F]) * (4 << 20)
    file = tmp_path / "run-hostile.wandb"
    file.write_bytes(data[:BLOCK] + hostile + data[BLOCK:])
    began = time.process_time()
    run = open_run(file)
    assert time.process_time() - began < 15
    assert run.rows >= open_run(wandb_file("many_rows")).rows - 1


def test_a_tail_of_zeros_takes_no_time(tmp_path: Path) -> None:
    """As a file system leaves it that lost power where it had made room."""
    file = tmp_path / "run-zeros.wandb"
    file.write_bytes(wandb_file("staged").read_bytes() + bytes(100 << 20))
    began = time.process_time()
    run = open_run(file)
    assert time.process_time() - began < 3
    assert (run.rows, run.damage) == (180, [])


def test_kinds_of_records_are_as_before() -> None:
    """Of a real file, none is called unreadable."""
    for name in ("staged", "every_value", "described", "ambiguous"):
        for batch in FrameReader(wandb_file(name)):
            assert (find_payloads(batch).kind > 0).all()

"""Real files, damaged by chance: all that is intact is recovered, and what is not is reported."""

import functools
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from runfile.real_runs import wandb_file
from ups.check import check_run
from ups.errors import RunFileError
from ups.runfile import Damage, Run
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import HEADER, FrameReader, Writer
from ups.runfile.records import Kind, Record
from ups.runfile.wire import sized, varint
from ups.runs import open_run

SOURCES = (
    ("staged", "newest"),
    ("every_value", "newest"),
    ("killed", "newest"),
    ("many_rows", "newest"),
    ("staged", "0.19"),
    ("ambiguous", "0.19"),
)
CASES = 800
SOAKED = 20_000


class Original(NamedTuple):
    """A real file: its bytes, and of each record where it begins, where the next one does, and its bytes."""

    data: bytes
    records: list[tuple[int, int, bytes]]


class Damaged(NamedTuple):
    """The bytes after damage, and the range of the original that was touched."""

    data: bytes
    low: int
    high: int


@functools.cache
def original(name: str, version: str) -> Original:
    """A real file, cut to its first eight blocks so that thousands of cases take seconds."""
    file = wandb_file(name, version)
    data = file.read_bytes()
    found: list[tuple[int, bytes]] = []
    reader = FrameReader(file)
    for batch in reader:
        found += zip(batch.offsets.tolist(), batch.records(), strict=True)
    ends = [at for at, _ in found[1:]] + [len(data) - reader.torn]
    records = [(at, end, record) for (at, record), end in zip(found, ends, strict=True) if end <= 8 * BLOCK]
    return Original(data[: records[-1][1]], records)


def flip(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """A few bits within a few bytes."""
    low, high = some_range(data, rng, longest=16)
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
    return Damaged(bytes(changed), low, high)


def cut_out(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """A part is gone, and what follows has moved."""
    low, high = some_range(data, rng)
    return Damaged(data[:low] + data[high:], low, high)


def cut_off(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """The end is gone."""
    low = rng.randrange(1, len(data))
    return Damaged(data[:low], low, len(data))


def zero(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """A part reads as zeros."""
    low, high = some_range(data, rng)
    return Damaged(data[:low] + bytes(high - low) + data[high:], low, high)


def repeat(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """A part stands there twice, in a row."""
    low, high = some_range(data, rng)
    return Damaged(data[:high] + data[low:high] + data[high:], high, high)


def splice(data: bytes, rng: random.Random, other: bytes) -> Damaged:
    """A part has been replaced by one of another file, of the same length or not."""
    low, high = some_range(data, rng)
    start, end = some_range(other, rng)
    if rng.random() < 0.5:
        end = start + high - low
    return Damaged(data[:low] + other[start:end] + data[high:], low, high)


def some_range(data: bytes, rng: random.Random, longest: int = 3 * BLOCK) -> tuple[int, int]:
    """A range of the data, short or long; every third begins and ends with a block."""
    length = min(len(data) - 1, int(longest ** rng.random()) + 1)
    low = rng.randrange(0, len(data) - length)
    high = low + length
    if longest > BLOCK and rng.random() < 1 / 3:
        low, high = low - low % BLOCK, min(len(data), high - high % -BLOCK)
    return low, high


DAMAGE: tuple[Callable[[bytes, random.Random, bytes], Damaged], ...] = (flip, cut_out, cut_off, zero, repeat, splice)


def run_cases(path: Path, seeds: range) -> None:
    """Damage a file for each seed, read it and compare."""
    for seed in seeds:
        rng = random.Random(seed)
        source, other = original(*rng.choice(SOURCES)), original(*rng.choice(SOURCES))
        how = DAMAGE[seed % len(DAMAGE)]
        damaged = how(source.data, rng, other.data)
        path.write_bytes(damaged.data)
        started = time.process_time()
        try:
            run = open_run(path)
        except RunFileError:  # nothing of a run file is left
            assert not intact_records(source, damaged), f"seed {seed}: refused, with intact records in it"
            continue
        check_run(run)
        assert time.process_time() - started < 5, f"seed {seed}: too slow"
        compare(run, source, damaged, f"seed {seed}, {how.__name__}")


def intact_records(source: Original, damaged: Damaged) -> list[bytes]:
    """The records of the original that were not touched."""
    return [record for at, end, record in source.records if end <= damaged.low or at >= damaged.high]


def compare(run: Run, source: Original, damaged: Damaged, case: str) -> None:
    """Every record that was not touched is there, in order, and every other is reported."""
    reader = FrameReader(run.path)
    places: list[int] = []
    read: list[bytes] = []
    for batch in reader:
        places += batch.offsets.tolist()
        read += batch.records()
    low, high = damaged.low, damaged.high
    intact = intact_records(source, damaged)
    assert not Counter(intact) - Counter(read), f"{case}: an intact record was not recovered"
    rest = iter(read)
    assert all(record in rest for record in intact), f"{case}: records are not in order"

    (segment,) = run.segments
    missing = Counter(record for _, _, record in source.records) - Counter(read)
    # A file that ends between two records is unfinished, and one that was replaced from its start is another file.
    ends_early = damaged.data == source.data[:low] and not run.finished
    told = ends_early or ("splice" in case and low < len(HEADER))
    if missing and not told:
        assert segment.damage or segment.torn, f"{case}: {missing.total()} records are gone without a word"
    grown = len(damaged.data) - len(source.data)
    first = min([low, *(at for at, end, _ in source.records if end > low and at <= high)])
    first = first if low >= len(HEADER) else 0
    for damage in segment.damage:
        assert 0 <= damage.offset <= damage.end <= segment.size, f"{case}: {damage} is not in the file"
        place = f"{case}: {damage} is not where the damage is"
        assert first <= damage.offset, place
        # What was spliced in may stand in the file a second time further down.
        assert damage.repeated or damage.offset <= high + max(grown, 0) + 2 * BLOCK, place
    # Where nothing moved, each record that is gone lies in a range that was reported. What was spliced in may be
    # whole records of the other file, which are no damage in themselves.
    if grown == 0 and "splice" not in case:
        ranges = [(each.offset, each.end) for each in segment.damage] + [(segment.size - segment.torn, segment.size)]
        for at, _, record in source.records:
            if record in missing:
                assert any(start <= at < end for start, end in ranges), f"{case}: the record at {at} is not reported"
    if "splice" not in case:
        steps = run.series("sin").steps if "sin" in run.metrics else np.arange(1)
        assert (np.diff(steps) > 0).all(), f"{case}: a row is there twice"


def test_whole_records_that_are_gone_are_counted(tmp_path: Path) -> None:
    """Where whole records were cut out, every checksum is right, and the place and their number are reported."""
    data, records = original("staged", "newest")
    path = tmp_path / "run-cut.wandb"
    low, high = records[50][0], records[57][0]
    path.write_bytes(data[:low] + data[high:])
    (segment,) = open_run(path).segments
    assert segment.damage == (Damage(low, 0, missing=7),)
    (found,) = [found for found in check_run(open_run(path)).findings if found.code == "damaged-file"]
    assert f"7 records missing at byte {low:,} of run-cut.wandb" in found.message


def is_message(record: bytes) -> bool:
    try:
        Record(record)
    except ValueError:
        return False
    return True


def rows_of_any_length() -> list[bytes]:
    """Records of rows that each hold their step in two places, between texts of other lengths."""
    rng = random.Random(0)
    texts = [[sized(1, sized(2, b"t") + sized(16, b"v" * rng.randint(10, 90))) for _ in range(3)] for _ in range(6_000)]
    records = []
    for step, (*others, last) in enumerate(texts):
        own = [sized(1, sized(2, name) + sized(16, b"%d" % step)) for name in (b"_step", b"n")]
        history = b"".join([own[0], *others, own[1], last, sized(2, b"\x08" + varint(step))])
        records.append(b"\x08" + varint(step + 1) + sized(Kind.HISTORY, history))
    return records


def test_a_row_made_of_two_halves_is_left_out(tmp_path: Path) -> None:
    """Blocks are gone, and halves of two rows meet: each checksum is right, and the halves fill the record."""
    whole, path = tmp_path / "run-whole.wandb", tmp_path / "run-halves.wandb"
    records = rows_of_any_length()
    with Writer(whole) as writer:
        for record in records:
            writer.write(record)
    data = whole.read_bytes()
    (batch,) = FrameReader(whole)
    first = np.searchsorted(batch.offsets, np.arange(1, len(data) // BLOCK) * BLOCK) - 1  # it goes on in the next block
    halves = [BLOCK - batch.offsets[at] % BLOCK - 7 for at in first]
    seen = Counter[bool]()
    for left, right in combinations(range(len(first)), 2):
        before, after = records[first[left]], records[first[right]]
        joined = before[: halves[left]] + after[halves[right] :]
        if len(joined) != len(before) or min(halves[left], halves[right]) < 0:
            continue
        path.write_bytes(data[: (left + 1) * BLOCK] + data[(right + 1) * BLOCK :])
        column = open_run(path).column("n")
        assert column is not None
        assert column.values.tolist() == [*range(first[left]), *range(first[right] + 1, len(records))]
        ((_, damage),) = open_run(path).damage
        assert (damage.offset, damage.missing) == (batch.offsets[first[left]], first[right] - first[left])
        seen[is_message(joined)] += 1
    assert min(seen[True], seen[False]) > 0, "some can be read and have two steps, and some cannot"


def test_a_whole_row_before_missing_ones_stays(tmp_path: Path) -> None:
    """Also one that continues in the next block."""
    path = tmp_path / "run-fewer.wandb"
    records = rows_of_any_length()
    with Writer(path) as writer:
        for record in records[::2]:
            writer.write(record)
    run = open_run(path)
    assert run.rows == len(records) // 2
    assert sum(damage.missing for _, damage in run.damage) == run.rows - 1


def test_whole_records_that_stand_twice_are_read_once(tmp_path: Path) -> None:
    """Where whole records were repeated, every checksum is right, and the copies are reported and left out."""
    data, records = original("staged", "newest")
    path = tmp_path / "run-twice.wandb"
    low, high = records[50][0], records[57][0]
    path.write_bytes(data[:high] + data[low:])
    run = open_run(path)
    ((_, damage),) = run.damage
    assert (damage.offset, damage.repeated, damage.missing) == (high, 7, 0)
    assert run.rows == open_run(wandb_file("staged")).rows == 180
    (found,) = [found for found in check_run(run).findings if found.code == "damaged-file"]
    assert "copies of 7 records in" in found.message


def test_damaged_files(tmp_path: Path) -> None:
    """Flipped, cut, zeroed, repeated and spliced files: no crash, no hang, all that is intact is recovered."""
    run_cases(tmp_path / "run-damaged.wandb", range(CASES))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_damaged_files(tmp_path: Path) -> None:
    """The same, many times as many."""
    run_cases(tmp_path / "run-damaged.wandb", range(SOAKED))


def test_a_record_put_together_from_two_is_read_as_far_as_it_makes_sense(tmp_path: Path) -> None:
    """Of valid chunks of two records, bytes that are not an item are left out; their row and the others stay."""
    good = b"\x0a\x0e\x12\x04loss\x82\x01\x050.125"
    path = tmp_path / "run-joined.wandb"
    with Writer(path) as writer:
        for items in (good, b"\x0a\x01P" + good, b"\x0a\x03\x12\x7fx" + good, good):
            writer.write(b"\x12" + bytes([len(items)]) + items)
    run = open_run(path)
    assert run.rows == 4
    column = run.column("loss")
    assert column is not None
    assert column.values.tolist() == [0.125] * 4
    assert run.summary == {}
    check_run(run)

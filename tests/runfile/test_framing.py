"""Framing: real files, damaged and cut, and files written and read by another reader."""

import random
from pathlib import Path

import pytest

from runfile.real_runs import inspect, wandb_file
from ups.errors import RunFileError
from ups.runfile import chunks, close_torn_segment, framing, intact_length
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import HEADER, FrameReader, Writer


def read(path: Path, start: int = 0) -> tuple[FrameReader, dict[int, bytes]]:
    """The reader after reading, and the records by their place in the file."""
    reader = FrameReader(path, start=start)
    records: dict[int, bytes] = {}
    for batch in reader:
        records |= dict(zip(batch.offsets.tolist(), batch.records(), strict=True))
    return reader, records


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, bytearray, dict[int, bytes]]:
    """A path to write to, the bytes of a real file of many blocks, and its records."""
    original = wandb_file("many_rows")
    return tmp_path / "run-damaged.wandb", bytearray(original.read_bytes()), read(original)[1]


def test_a_whole_file_has_no_damage() -> None:
    """A file of a finished run is read to its last byte."""
    reader, records = read(wandb_file("many_rows"))
    assert (reader.damage, reader.torn, reader.intact_length) == ([], 0, reader.size)
    assert reader.size > 8 * BLOCK
    assert len(records) > 4000


@pytest.mark.parametrize("seed", range(5))
def test_a_flipped_bit_costs_one_record(damaged: tuple[Path, bytearray, dict[int, bytes]], seed: int) -> None:
    """A bit that flips in a record's data costs that record and no other, and its place and size are reported."""
    path, data, records = damaged
    places = sorted(records)
    index = random.Random(seed).randrange(1, len(places) - 1)
    place, after = places[index], places[index + 1]
    data[place + 7] ^= 1
    path.write_bytes(data)
    reader, left = read(path)
    assert left == {at: record for at, record in records.items() if at != place}
    assert [(damage.offset, damage.end) for damage in reader.damage] == [(place, after)]
    assert reader.torn == 0


def test_a_flipped_length_costs_at_most_its_block(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """After a damaged length, reading is in step again at the next block."""
    path, data, records = damaged
    place = next(at for at in sorted(records) if at > 3 * BLOCK)
    data[place + 4] ^= 0xFF
    path.write_bytes(data)
    reader, left = read(path)
    assert all(place <= at < 4 * BLOCK for at in records.keys() - left.keys())
    assert left.items() <= records.items()
    assert reader.damage[0].offset == place
    assert reader.damage[-1].end <= 5 * BLOCK


def test_a_zeroed_block_costs_the_records_in_it(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """A block of zeros costs the records that touch it, as one range, and all others are recovered."""
    path, data, records = damaged
    data[2 * BLOCK : 3 * BLOCK] = bytes(BLOCK)
    path.write_bytes(data)
    reader, left = read(path)
    lost = sorted(records.keys() - left.keys())
    assert all(BLOCK < at < 3 * BLOCK for at in lost)
    assert sum(at < 2 * BLOCK for at in lost) <= 1
    assert len(reader.damage) == 1
    assert reader.damage[0].offset <= 2 * BLOCK
    assert reader.damage[0].end >= 3 * BLOCK
    assert left.items() <= records.items()


def test_a_cut_anywhere_leaves_every_whole_record(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """Wherever a file is cut, the records before the cut are read and the rest is a torn tail, not damage."""
    path, data, records = damaged
    places = [*sorted(records), len(data)]
    for cut in [0, 3, 7, 8, BLOCK - 1, BLOCK, BLOCK + 3, *random.Random(0).sample(range(len(data)), 40)]:
        path.write_bytes(data[:cut])
        reader, left = read(path)
        whole = sum(end <= cut for end in places[1:])
        assert whole - 1 <= len(left) <= whole + 1  # a record may end before its block's padding
        assert left == {at: records[at] for at in places[: len(left)]}
        assert reader.damage == []
        assert reader.intact_length + reader.torn == cut


def test_zeros_at_the_end_are_a_torn_tail(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """Zeros that a power cut left after the last record are no damage."""
    path, data, records = damaged
    path.write_bytes(bytes(data) + bytes(100_000))
    reader, left = read(path)
    assert left == records
    assert (reader.damage, reader.torn, reader.intact_length) == ([], 100_000, len(data))


def test_reading_goes_on_where_it_stood(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """A file that grows is read in parts, each from the former intact length, without a record missed or doubled."""
    path, data, records = damaged
    seen: dict[int, bytes] = {}
    start = 0
    for size in [5, 1000, BLOCK - 2, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5000, len(data)]:
        path.write_bytes(data[:size])
        reader, new = read(path, start)
        assert not seen.keys() & new.keys()
        seen |= new
        start = reader.intact_length
    assert seen == records


def test_reading_can_begin_at_any_block(damaged: tuple[Path, bytearray, dict[int, bytes]]) -> None:
    """From the start of a block, every record that begins after it is read, and the end of one before is no damage."""
    path, data, records = damaged
    path.write_bytes(data)
    for start in range(BLOCK, len(data), BLOCK):
        reader, left = read(path, start)
        assert left == {at: record for at, record in records.items() if at >= start}
        assert reader.damage == []


def test_a_torn_segment_is_cut_so_that_wandb_reads_it_to_its_end(
    damaged: tuple[Path, bytearray, dict[int, bytes]],
) -> None:
    """The reader of wandb complains about a torn file, and reads a closed one to its end with every whole record."""
    path, data, records = damaged
    end = next(at for at in records if at > 2 * BLOCK) + 20
    path.write_bytes(data[:end])
    before, complaint = inspect(path)
    assert "incomplete" in complaint
    cut = close_torn_segment(path)
    assert cut > 0
    assert path.stat().st_size == end - cut == intact_length(path)
    after, complaint = inspect(path)
    assert (after, complaint) == (before, "")
    assert close_torn_segment(path) == 0


@pytest.mark.parametrize(
    "sizes",
    [
        [0, 1, 100],
        [BLOCK - 14, 5],
        [BLOCK - 15, 5],
        [BLOCK - 20, 5],
        [BLOCK - 21, 5],
        [BLOCK, 3 * BLOCK, 100_000],
    ],
    ids=str,
)
def test_what_is_written_is_read_back(tmp_path: Path, sizes: list[int]) -> None:
    """Records of any size survive writing and reading, also where a block ends in padding or just before a chunk."""
    path = tmp_path / "run-written.wandb"
    written = [random.Random(size).randbytes(size) for size in sizes]
    with Writer(path) as writer:
        for record in written:
            writer.write(record)
    reader, records = read(path)
    assert [records[at] for at in sorted(records)] == written
    assert (reader.damage, reader.torn) == ([], 0)


def test_wandb_reads_what_is_written(tmp_path: Path) -> None:
    """A real file's records, written again, are the same bytes, and wandb's reader says the same about them."""
    original = wandb_file("many_rows")
    path = tmp_path / "run-again.wandb"
    with Writer(path) as writer:
        for record in read(original)[1].values():
            writer.write(record)
    assert path.read_bytes() == original.read_bytes()
    assert inspect(path) == inspect(original)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file that is no W&B run file, or does not exist, is an error that names it."""
    path = tmp_path / "run-other.wandb"
    path.write_bytes(b"{}\n" * 10)
    with pytest.raises(RunFileError, match=r"run-other\.wandb is not a W&B run file"):
        FrameReader(path)
    with pytest.raises(RunFileError, match=r"absent\.wandb cannot be read: No such file"):
        FrameReader(tmp_path / "absent.wandb")


def test_blocks_walked_in_step_are_those_read_byte_by_byte() -> None:
    """Both ways of finding chunks agree on a whole file, from any block on, and only one takes damage."""
    data = wandb_file("many_rows").read_bytes()
    for start in (len(HEADER), BLOCK, 3 * BLOCK):
        walked = chunks._walk(data[start:], start)
        salvaged = chunks._salvage(data[start:], start, last=True)
        assert walked is not None
        assert [each.tolist() for each in walked[:3]] == [each.tolist() for each in salvaged[:3]]
        assert walked.lost == salvaged.lost == []
    for place in random.Random(0).sample(range(BLOCK, len(data)), 50):
        flipped = bytearray(data)
        flipped[place] ^= 16
        if chunks._walk(bytes(flipped[BLOCK:]), BLOCK) is not None:
            assert not any(chunks._salvage(bytes(flipped[BLOCK:]), BLOCK, last=True).lost)  # padding


def test_damage_far_into_a_long_file_is_found(tmp_path: Path) -> None:
    """Bytes that are gone from a file of several windows cost the records that they were part of, and no other."""
    path = tmp_path / "run-long.wandb"
    source = [record for _, record in sorted(read(wandb_file("many_rows"))[1].items())] * 25
    with Writer(path) as writer:
        for record in source:
            writer.write(record)
    data = path.read_bytes()
    assert len(data) > framing.WINDOW
    for low, high in ((100_000, 100_003), (framing.WINDOW - 10, framing.WINDOW + 5), (9_000_000, 9_000_000 + BLOCK)):
        path.write_bytes(data[:low] + data[high:])
        reader, left = read(path)
        assert len(source) - len(left) <= 2 + (high - low) // 50
        assert [damage.offset <= low <= damage.end + BLOCK for damage in reader.damage] == [True]

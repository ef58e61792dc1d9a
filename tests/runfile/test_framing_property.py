"""Framing of any records: property tests over lists of payloads, on and around the bounds of blocks."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ups.errors import RunFileError
from ups.runfile import framing
from ups.runfile.chunks import BLOCK, CHUNK_HEAD
from ups.runfile.framing import HEADER, Damage, FrameReader, Writer

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "150"))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

# Most records of a run are short. One of nearly a block decides where the next begins: in a block's last bytes, its
# padding, or the next block.
SIZES = st.one_of(
    st.integers(0, 40),
    st.integers(BLOCK - len(HEADER) - 3 * CHUNK_HEAD, BLOCK + CHUNK_HEAD),
    st.integers(2 * BLOCK, 4 * BLOCK),
)
PAYLOADS = st.builds(
    lambda sizes, seed: [random.Random(seed + at).randbytes(size) for at, size in enumerate(sizes)],
    st.lists(SIZES, max_size=8),
    st.integers(0, 1000),
)


@pytest.fixture(params=[2, 256], ids="{} blocks".format)
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is read as one window, or as many small ones."""
    monkeypatch.setattr(framing, "WINDOW", request.param * BLOCK)
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # thousands of times, it takes a minute
    return tmp_path / "run-made.wandb"


def write(file: Path, records: list[bytes]) -> tuple[bytes, list[int]]:
    """Write a file of these records: its bytes, and where each record ends."""
    file.unlink(missing_ok=True)
    ends = []
    with Writer(file) as writer:
        for record in records:
            writer.write(record)
            ends.append(writer._file.tell())
    return file.read_bytes(), ends


def read(file: Path, start: int = 0) -> tuple[FrameReader, list[bytes]]:
    """The reader after reading, and the records in their order."""
    reader = FrameReader(file, start=start)
    return reader, [record for batch in reader for record in batch.records()]


@many
@given(records=PAYLOADS)
def test_records_are_read_as_they_were_written(file: Path, records: list[bytes]) -> None:
    """Records of any size come back, each once and in order, from a file without damage."""
    data, _ = write(file, records)
    reader, found = read(file)
    assert found == records
    assert (reader.damage, reader.torn, reader.intact_length) == ([], 0, len(data))


@many
@given(records=PAYLOADS, share=st.floats(0, 1))
def test_a_file_that_is_cut_holds_the_records_before(file: Path, records: list[bytes], share: float) -> None:
    """Up to any byte, the whole records are read, the rest is a torn tail, and a second reader finds the others."""
    data, ends = write(file, records)
    cut = round(share * len(data))
    whole = sum(end <= cut for end in ends)
    file.write_bytes(data[:cut])
    reader, found = read(file)
    assert found == records[:whole]
    assert (reader.damage, reader.intact_length + reader.torn) == ([], cut)
    file.write_bytes(data)
    assert read(file, reader.intact_length)[1] == records[whole:]


@many
@given(records=PAYLOADS, share=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_changed_byte_makes_no_record(file: Path, records: list[bytes], share: float, bits: int) -> None:
    """Wherever a byte is changed, each record that is read was written, in that order, and a lost one is reported."""
    data, _ = write(file, records)
    place = int(share * len(data))
    file.write_bytes(data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :])
    try:
        reader, found = read(file)
    except RunFileError:  # the header is damaged, and no record follows it
        assert place < len(HEADER)
        assert not records
        return
    written = iter(records)
    assert all(record in written for record in found)
    if len(found) < len(records):
        lost = [Damage(each.offset, each.length) for each in reader.damage]
        lost += [Damage(reader.size - reader.torn, reader.torn)]
        assert any(each.offset <= place < each.end for each in lost)

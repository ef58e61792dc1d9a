"""A script that calls wandb itself: W&B holds the same of its journal as of the plain run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wandb.proto import wandb_internal_pb2

from delivery.spied_script import RECORDS
from held import Held, read_held
from run_directories import deliver, write_run
from ups.check import check_run
from ups.journal.run_directory import RunDirectory
from ups.runfile.framing import FrameReader
from ups.runs import find_run, open_files, open_run
from ups.runs.journal_source import JournalSource

_CLOCK = {"_timestamp", "_runtime"}
_NOT_OF_THE_SCRIPT = {"requirements.txt", "output.log", "wandb-metadata.json", "config.yaml", "wandb-summary.json"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the plain run, with the records of its calls."""
    folder = tmp_path_factory.mktemp("plain")
    environment = {**os.environ, "HOME": str(folder), "WANDB_ERROR_REPORTING": "false"}
    tests = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([tests, *filter(None, [environment.get("PYTHONPATH")])])
    subprocess.run([sys.executable, "-m", "delivery.spied_script", str(folder)], env=environment, check=True)
    return folder


def records_of(plain: Path) -> list[dict[str, Any]]:
    """The records of the calls of the plain run."""
    return [json.loads(line) for line in (plain / RECORDS).read_text(encoding="utf-8").splitlines()]


def files_folder(folder: Path) -> Path:
    """The files of a run that has one segment."""
    (found,) = folder.glob("wandb/*run-*-*/files")
    return found


def journaled(plain: Path, folder: Path, records: list[dict[str, Any] | bytes]) -> Path:
    """A run's directory whose one process has journaled some records, with the files that the plain run kept."""
    run = write_run(folder / "same", records, config={"lr": 1e-3}, project="p")
    shutil.copytree(files_folder(plain), run / "files")
    shutil.copytree(plain / "artifacts", run / "artifacts")
    return run


def lines(records: list[dict[str, Any]]) -> list[dict[str, Any] | bytes]:
    """Records as lines of a journal, NaN and the infinities as Python writes them."""
    return [json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records]


def messages(folder: Path, kind: str) -> Iterator[Any]:
    """The records of one kind in a run's files, oldest file first."""
    for path in sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.parent.name):
        for batch in FrameReader(path):
            for content in batch.records():
                record = wandb_internal_pb2.Record.FromString(content)
                if record.WhichOneof("record_type") == kind:
                    yield getattr(record, kind)


def rows(folder: Path) -> list[dict[tuple[str, ...], str]]:
    """The rows of a run, as the text of each value by its path."""
    return [
        {
            path: item.value_json
            for item in history.item
            if (path := tuple(item.nested_key) or (item.key,))[0] not in _CLOCK
        }
        for history in messages(folder, "history")
    ]


def contents(folder: Path) -> dict[str, str]:
    """The hash of each of the script's files in a run's folder of files."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in _NOT_OF_THE_SCRIPT
    }


def summary_of(folder: Path) -> dict[str, Any]:
    """A run's summary by path, as its files hold it."""
    found: dict[tuple[str, ...], Any] = {}
    for change in messages(folder, "summary"):
        for item in change.update:
            put(found, tuple(item.nested_key) or (item.key,), json.loads(item.value_json))
    return {".".join(path): value for path, value in sorted(found.items()) if path[0] not in (*_CLOCK, "_wandb")}


def put(found: dict[tuple[str, ...], Any], path: tuple[str, ...], value: Any) -> None:
    """Set a value in a summary by path, in place of those below it and above it."""
    for other in [other for other in found if other[: len(path)] == path or path[: len(other)] == other]:
        del found[other]
    if isinstance(value, dict):
        for name, inner in value.items():
            put(found, (*path, name), inner)
    else:
        found[path] = value


def artifacts(folder: Path) -> list[Any]:
    """The artifacts of a run, with their content in place of the paths of their files."""
    found = []
    for artifact in messages(folder, "artifact"):
        content = []
        for entry in artifact.manifest.contents:
            content.append(Path(entry.local_path).read_bytes())
            entry.local_path = ""
        found.append((str(artifact), content))
    return found


def definitions(folder: Path) -> list[str]:
    """The definitions of a run."""
    return list(map(str, messages(folder, "metric")))


def config_of(held: Held) -> dict[str, Any]:
    """A run's configuration without wandb's own."""
    return {name: value for name, value in held.config.items() if not name.startswith("_wandb")}


def test_wandb_holds_the_same_of_a_journal_as_of_the_plain_run(plain: Path, tmp_path: Path) -> None:
    """Rows with the text of each value, numbers, definitions, summary, configuration, files, name, notes and tags."""
    run = journaled(plain, tmp_path, lines(records_of(plain)))
    printed = deliver(run)
    assert rows(run) == rows(plain), printed
    assert definitions(run) == definitions(plain)
    assert summary_of(run) == summary_of(plain)
    assert contents(files_folder(run)) == contents(files_folder(plain))
    assert artifacts(run) == artifacts(plain)
    held, other = read_held(run), read_held(plain)
    assert config_of(held) == config_of(other)
    for name in ("display_name", "notes", "tags"):
        assert held.runs[-1][name] == other.runs[-1][name]
    for kind in ("alert", "preempting"):
        assert [record[kind] for record in held.records if record["type"] == kind] == [
            record[kind] for record in other.records if record["type"] == kind
        ]
    policies = [
        {file.path: file.policy for record in messages(each, "files") for file in record.files} for each in (run, plain)
    ]
    assert policies[0].items() <= policies[1].items() | policies[0].items()
    assert all(
        policies[0].get(path) == policy for path, policy in policies[1].items() if path in contents(files_folder(plain))
    )


def test_a_run_that_is_delivered_in_parts_ends_with_the_same(plain: Path, tmp_path: Path) -> None:
    """In three sessions, each of which begins again: rows once, files in each, the summary as of one session."""
    records = lines(records_of(plain))
    first = 7  # three rows of an aggregate
    second = 1 + next(place for place, record in enumerate(records_of(plain)) if "image" in record.get("log", {}))
    run = journaled(plain, tmp_path, records[:first])
    deliver(run)
    journal = next((run / "journal").glob("*.jsonl"))
    end = journal.read_bytes().splitlines(keepends=True)[-1]
    for part in (records[first:second], records[second:]):
        content = journal.read_bytes().removesuffix(end)
        journal.write_bytes(content + b"".join(line for line in part if isinstance(line, bytes)) + end)
        (run / "delivery" / "sequence.jsonl").write_text(without_end(run, len(content)))
        deliver(run)
    assert len(RunDirectory(run).segments()) == 3
    assert rows(run) == rows(plain)
    assert summary_of(run) == summary_of(plain)
    found: dict[str, str] = {}
    for folder in sorted(run.glob("wandb/*run-*-*/files")):
        found |= contents(folder)
    assert found == contents(files_folder(plain))
    assert definitions_by_name(run) == definitions_by_name(plain)


def test_a_run_is_read_alike_from_its_journal_and_from_wandbs_files(plain: Path, tmp_path: Path) -> None:
    """Each name's rows, numbers, values and forms, the media, the configuration, and the findings of a check."""
    run = journaled(plain, tmp_path, lines(records_of(plain)))
    journals = open_run(run)
    summary = JournalSource(RunDirectory(run))
    summary.read_all()
    deliver(run)
    files = open_files(find_run(run))
    assert journals.is_journaled
    assert not files.is_journaled
    assert sorted(journals.logged) == sorted(files.logged)
    assert sorted(journals.metrics) == sorted(files.metrics)
    for name in ("_step", *journals.logged):
        one, other = journals.column(name), files.column(name)
        assert one is not None
        assert other is not None
        for mine, its in ((one.rows, other.rows), (one.values, other.values), (one.forms, other.forms)):
            np.testing.assert_array_equal(mine, its)
        assert one.sample == other.sample
    media = [sorted((each.step, each.key, each.paths, each.rows) for each in read.media) for read in (journals, files)]
    assert media[0] == media[1]
    assert journals.config == files.config
    assert (journals.name, journals.tags) == (files.name, files.tags)
    checks = check_run(journals), check_run(files)
    verdicts = [sorted((chart.metric, str(chart.verdict)) for chart in check.charts) for check in checks]
    findings = [sorted((str(each.metric), str(each.code)) for each in check.findings) for check in checks]
    assert verdicts[0] == verdicts[1]
    assert findings[0] == findings[1]
    shown = {name: value for name, value in files.summary.items() if name not in (*_CLOCK, "_wandb", "_step")}
    assert str(ordered(summary.summary())) == str(ordered(shown))
    assert [(medium.kind, medium.name) for medium in summary.media()] == [
        *(("image", name) for name in ("image", "images", "images", "media/with slash", "inside.image")),
        ("table", "table"),
    ]


def ordered(values: Any) -> Any:
    """Nested dictionaries with their names in one order, and numbers as floats."""
    if isinstance(values, dict):
        return {name: ordered(values[name]) for name in sorted(values)}
    if isinstance(values, list):
        return list(map(ordered, values))
    return float(values) if isinstance(values, int) else values


def without_end(run: Path, length: int) -> str:
    """The ledger as it was before the end of the journal was read."""
    kept = []
    for line in (run / "delivery" / "sequence.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry.get("end", 0) > length:
            entry["end"] = length
        kept.append(json.dumps(entry) + "\n")
    return "".join(kept)


def definitions_by_name(folder: Path) -> dict[str, str]:
    """The last definition of each name."""
    return {metric.name or metric.glob_name: str(metric) for metric in messages(folder, "metric")}

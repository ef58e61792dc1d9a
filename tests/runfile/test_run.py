"""Runs read from the files of the real client, compared with wandb's own reader."""

import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runfile.real_runs import inspect_made, made_runs, wandb_file
from ups.errors import RunFileError
from ups.runfile import Run, last_step
from ups.runfile.framing import FrameReader
from ups.runfile.items import Form
from ups.runfile.records import Item, Kind, MetricDefinition, find_payloads, parse, value_of
from ups.runs import open_run, open_runs

WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def as_number(value: Any) -> float | None:
    """A value that wandb's reader printed, as a number; None if it is none."""
    if isinstance(value, str):
        return WORDS.get(value)
    return float(value) if isinstance(value, bool | int | float) else None


def rows_of(run: Run) -> list[dict[str, float | None]]:
    """A run's rows as dictionaries."""
    rows: list[dict[str, float | None]] = [{} for _ in range(run.rows)]
    for name in [*run.logged, "_step", "_timestamp", "_runtime"]:
        column = run.column(name)
        assert column is not None
        for row, value, form in zip(column.rows, column.values, column.forms, strict=True):
            rows[row][name] = float(value) if form == Form.NUMBER else None
    return rows


@pytest.mark.parametrize(
    ("name", "version"),
    [
        *((name, "newest") for name in ("every_value", "many_rows", "staged", "never_logged", "described", "lost")),
        *((name, "newest") for name in ("killed", "ambiguous", "not_finite", "orphan", "whole_numbers")),
        *((name, "0.19") for name in ("every_value", "many_rows", "ambiguous", "described", "killed")),
    ],
)
def test_wandb_reads_the_same(name: str, version: str) -> None:
    """Every record has the kind and number, and every row the numbers, that wandb's own reader prints."""
    file = wandb_file(name, version)
    expected = inspect_made(name, version)
    payloads = [find_payloads(batch) for batch in FrameReader(file)]
    kinds = [Kind(kind).name.lower() for found in payloads for kind in found.kind.tolist()]
    assert kinds == [record["type"] for record in expected]
    assert [number for found in payloads for number in found.number.tolist()] == [int(each["num"]) for each in expected]

    items = [record["history"]["item"] for record in expected if record["type"] == "history"]
    numbers = [{name: as_number(value) for name, value in item.items()} for item in items]
    np.testing.assert_equal(rows_of(open_run(file)), numbers)


@pytest.mark.parametrize(("name", "version"), [("described", "newest"), ("ambiguous", "newest"), ("ambiguous", "0.19")])
def test_wandb_reads_the_same_definitions(name: str, version: str) -> None:
    """The definitions, those too that wandb 0.19 filled in from a glob, are those that wandb's own reader prints."""
    file = wandb_file(name, version)
    expected = [record["metric"] for record in inspect_made(name, version) if record["type"] == "metric"]
    read = [
        definition
        for batch in FrameReader(file)
        for record in batch.records()
        if isinstance(definition := parse(record), MetricDefinition)
    ]
    assert [(each.name, each.glob, each.step_metric) for each in read] == [
        (each.get("name", ""), each.get("glob_name", ""), each.get("step_metric", "")) for each in expected
    ]
    assert [each.expanded_from_glob for each in read] == [each.get("expanded_from_glob", False) for each in expected]


def test_a_run_says_who_it_is() -> None:
    """Name, project, tags, configuration, exit code and summary are those that the client was given."""
    run = open_run(made_runs() / "described")
    assert (run.run_id, run.name, run.project, run.tags) == ("described", "described run", "made", ("t",))
    assert run.config == {"lr": 0.2, "model": {"width": 32, "layers": [1, 2]}}
    assert (run.finished, run.exit_code, run.rows, run.last_step) == (True, 3, 3, 2)
    assert run.summary["training/operator/loss"] == {"min": 2}
    assert run.summary["best"] == {"loss": 2}
    assert open_run(made_runs() / "every_value").summary["nested"] == {"a": {"b": 2.5}}


def test_numbers_are_exact() -> None:
    """A float comes back bit for bit; huge integers, denormals and infinities too."""
    run = open_run(made_runs() / "every_value")
    read = {name: column.values[0] for name in run.metrics if (column := run.column(name)) is not None}
    assert read["float"] == 0.1
    assert read["huge"] == 1e60
    assert read["tiny"] == 5e-324
    assert read["big"] == sys.float_info.max
    assert read["float32"] == np.float32(1.1)
    assert read["minus_inf"] == -math.inf
    assert math.isnan(read["nan"])
    assert math.isnan(read["number_text"])


@pytest.mark.parametrize("text", ["{", "[" * 200_000], ids=["damaged", "deep"])
@pytest.mark.parametrize("encoding", ["value_json", "json"])
def test_json_that_cannot_be_read_is_its_text(encoding: str, text: str) -> None:
    """A value whose JSON is damaged, or nested too deep, is left as the text that it is."""
    item = Item()
    setattr(item, encoding, text)
    assert value_of(item) == text


def test_media_are_no_charts() -> None:
    """Histograms, images and tables are not among the charts; nested values and odd names are."""
    charts = open_run(made_runs() / "every_value").charts
    assert not [name for name in charts if name.startswith(("histogram", "image", "table"))]
    assert {"nested.a.b", "dot.ted", "ünï/cödé"} <= set(charts)


def test_axes_and_hidden_metrics_are_no_charts() -> None:
    """A step metric is an axis, not a chart."""
    run = open_run(made_runs() / "staged")
    assert run.charts == [
        "training/operator/loss",
        "training/diffusion_residual/loss",
        "training/consistency_distill/loss",
    ]
    series = run.series("training/diffusion_residual/loss")
    assert series.x.tolist() == list(range(50))
    assert series.steps.tolist() == list(range(100, 150))
    assert series.y[1] == 0.5


def test_a_run_is_found_from_its_file_its_directory_and_the_wandb_folder() -> None:
    """The same run opens from its file, its directory, its wandb folder, and the directory above."""
    file = wandb_file("staged")
    for path in (file, file.parent, file.parent.parent, file.parent.parent.parent):
        assert (open_run(path).run_id, open_run(path).rows) == ("staged", 180)


def test_a_folder_of_several_runs_must_be_narrowed(tmp_path: Path) -> None:
    """A wandb folder with two runs opens as two, and asking for the one run is an error that names both."""
    for name in ("staged", "naive"):
        shutil.copytree(wandb_file(name).parent, tmp_path / "wandb" / wandb_file(name).parent.name, symlinks=True)
    assert {run.run_id for run in open_runs(tmp_path / "wandb")} == {"staged", "naive"}
    with pytest.raises(RunFileError, match=r"holds 2 runs; name one of them: .*naive.*"):
        open_run(tmp_path)


def test_segments_of_one_run_are_read_as_one(tmp_path: Path) -> None:
    """Files of one run id are one run, in the order of their start, finished if the last one is."""
    first = tmp_path / "wandb" / "offline-run-20260102_000000-x"
    second = tmp_path / "wandb" / "run-20260102_000001-x"
    for folder, name in ((first, "killed"), (second, "two_points")):
        folder.mkdir(parents=True)
        shutil.copy(wandb_file(name), folder / "run-x.wandb")
    run = open_run(tmp_path)
    assert [segment.path.parent for segment in run.segments] == [first, second]
    assert [segment.finished for segment in run.segments] == [False, True]
    assert open_run(first).rows == 2
    assert run.rows == 4
    assert run.finished


def test_a_ups_run_directory_declares_its_stages(tmp_path: Path) -> None:
    """Stages stand in run.json of the directory; without one, in the configuration of the run."""
    assert open_run(made_runs() / "declared").stages == ("operator", "diffusion_residual")
    shutil.copytree(made_runs() / "staged" / "wandb", tmp_path / "wandb", symlinks=True)
    assert open_run(tmp_path).stages == ()
    (tmp_path / "run.json").write_text('{"stages": ["operator", "refine"]}')
    assert open_run(tmp_path).stages == ("operator", "refine")
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunFileError, match=r"run\.json"):
        open_run(tmp_path)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """A folder without a run, and a path that does not exist, are errors that say what to give instead."""
    with pytest.raises(RunFileError, match=r"holds no \.wandb file"):
        open_run(tmp_path)
    with pytest.raises(RunFileError, match="does not exist"):
        open_run(tmp_path / "absent")


def test_the_last_step_is_found_from_the_end_of_the_file(tmp_path: Path) -> None:
    """The last step of a file is that of its last whole row, however the file ends; None without rows."""
    file = wandb_file("many_rows")
    assert last_step(file) == 2000
    data = file.read_bytes()
    path = tmp_path / "run-cut.wandb"
    for cut in range(7, len(data), len(data) // 20):
        path.write_bytes(data[:cut])
        assert last_step(path) == open_run(path).last_step


def test_the_step_of_a_long_tail_without_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the end of a file holds no row, the search goes back until it finds one."""
    monkeypatch.setattr("ups.runfile.tail.WINDOW", 8)
    assert last_step(wandb_file("many_rows")) == 2000

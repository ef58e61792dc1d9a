"""Media of wandb's own types in a stage's rows: W&B holds them as of plain wandb, at the stage's step."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wandb

import ups
from alone import run_alone
from held import Held, read_held
from run_directories import deliver
from ups.check import check_run
from ups.errors import InvalidValue
from ups.journal.run_directory import RunDirectory
from ups.repair.missing_rows import missing_rows
from ups.runs import find_run, open_files, open_run
from ups.runs.journal_source import JournalSource

SCRIPT = Path(__file__).with_name("media_script.py")
CLOCKS = {"_timestamp", "_runtime"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the run of plain wandb, and of UPS's."""
    folders = []
    for how in ("plain", "stage"):
        folder = tmp_path_factory.mktemp(how)
        run_alone(folder, SCRIPT, how)
        folders.append(folder)
    return folders[0], folders[1] / "r"


def rows(held: Held) -> list[dict[str, str]]:
    """The rows as text, without the random ids of artifacts and what the clock puts into them."""
    masked = r"wandb-client-artifact://[0-9a-z]+"
    return [
        {name: re.sub(masked, "…", str(value)) for name, value in row.items() if name not in CLOCKS}
        for row in held.rows
    ]


def files(folder: Path) -> dict[str, str]:
    """The hash of each media file in the newest folder of a run."""
    home = next(
        path for path in sorted(folder.glob("wandb/*run-*/files"), reverse=True) if not path.parent.is_symlink()
    )
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (home / "media").rglob("*")
        if path.is_file()
    }


def masked_summary(held: Held) -> dict[str, str]:
    """The summary as text, likewise."""
    masked = r"wandb-client-artifact://[0-9a-z]+"
    return {name: re.sub(masked, "…", str(value)) for name, value in held.summary.items() if not name.startswith("_")}


def test_each_medium_is_in_the_row_of_its_step(runs: tuple[Path, Path]) -> None:
    """The text of each row, the bytes of each file, and the artifacts are those of plain wandb."""
    plain, staged = (read_held(folder) for folder in runs)
    assert rows(staged) == rows(plain)
    assert [row["training/a/step"] for row in staged.rows] == list(range(len(staged.rows)))
    assert files(runs[1]) == files(runs[0])
    kinds = [
        [each["artifact"]["type"] for each in held.records if each["type"] == "artifact"] for held in (staged, plain)
    ]
    assert kinds[0] == kinds[1] != []
    assert masked_summary(staged) == masked_summary(plain)
    assert {name for name in staged.config if "visualize" in name} == {
        name for name in plain.config if "visualize" in name
    }
    axes = {each["name"]: each.get("step_metric") for each in staged.metrics}
    assert axes["training/a/image"] == axes["training/a/loss"] == "training/a/step"
    assert (runs[1].parent / "faults").read_text() == "{}"


def test_a_check_takes_media_for_media(runs: tuple[Path, Path]) -> None:
    """A medium that has an axis is not a metric that was never logged. W&B shows no list of several kinds."""
    done = subprocess.run(
        [sys.executable, "-m", "ups", "check", "--format", "json", runs[1]], capture_output=True, text=True, check=False
    )
    (report,) = json.loads(done.stdout)["runs"]
    verdicts = {chart["metric"]: chart["verdict"] for chart in report["charts"]}
    assert verdicts == {"training/a/loss": "full", "training/a/mixed": "not-numeric"}
    assert {finding["metric"] for finding in report["findings"]} == {"training/a/mixed"}


def test_a_run_that_is_delivered_in_parts_ends_with_the_same(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """In two sessions, the second of which knows nothing of the first: rows once, and the same summary."""
    whole = runs[1]
    again = tmp_path / "r"
    for folder in ("journal", "files", "artifacts", "delivery"):
        (again / folder).mkdir(parents=True)
    (again / "run.json").write_bytes((whole / "run.json").read_bytes())
    for folder in ("files", "artifacts"):
        subprocess.run(["cp", "-r", whole / folder, again], check=True)
    (journal,) = (whole / "journal").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    (again / "journal" / journal.name).write_bytes(b"".join(lines[:half]))
    deliver(again)
    with (again / "journal" / journal.name).open("ab") as file:
        file.write(b"".join(lines[half:]))
    deliver(again)
    one, other = read_held(whole), read_held(again)
    assert rows(other) == rows(one)
    assert masked_summary(other) == masked_summary(one)


def test_a_medium_that_cannot_be_kept_costs_no_other_value(tmp_path: Path) -> None:
    """It is reported once, and stands in the journal as text; a strict run raises."""
    pixels = np.zeros((4, 4, 3), "uint8")
    lost = wandb.Image(pixels)
    Path(str(lost._path)).unlink()  # as a cleaner of temporary files does
    with ups.create_wandb_context({}, "r", mode="offline", dir=tmp_path) as ctx:
        ctx.stage("a").log(0, loss=1.0, lost=lost, kept=wandb.Image(pixels))
        counted = ctx.sink.faults.as_dict()
    assert [kind for kind in counted if kind.startswith("medium")] == ["medium:a/lost"]
    (row,) = read_held(tmp_path / "r").rows
    assert row["training/a/loss"] == 1
    assert row["training/a/kept._type"] == "image-file"
    assert "training/a/lost._type" not in row
    with (
        pytest.raises(InvalidValue, match="lost"),
        ups.create_wandb_context({}, "s", mode="local", dir=tmp_path, strict=True) as ctx,
    ):
        ctx.stage("a").log(0, loss=1.0, lost=lost)


def test_media_join_an_open_row(tmp_path: Path) -> None:
    """As a framework logs them: after the metrics, at the same step."""
    with ups.create_wandb_context({}, "r", mode="offline", dir=tmp_path) as ctx:
        stage = ctx.stage("a")
        stage.log_open(0, {"loss": 1.0})
        stage.log_open(0, {"text": wandb.Html("<b>x</b>")})
        stage.log_open(1, {"text": wandb.Html("<b>y</b>")})
    found: list[dict[str, Any]] = read_held(tmp_path / "r").rows
    assert [(row["training/a/step"], row.get("training/a/loss"), row["training/a/text._type"]) for row in found] == [
        (0, 1, "html-file"),
        (1, None, "html-file"),
    ]


def test_a_training_without_wandb_stays_without_it(tmp_path: Path) -> None:
    """A figure is then reported as the value that it is, and wandb is not imported for it."""
    script = """
import sys
from matplotlib.figure import Figure
import ups
with ups.create_wandb_context({}, "r", mode="local", dir=".") as ctx:
    ctx.stage("a").log(0, loss=1.0, figure=Figure())
print("wandb" in sys.modules, list(ctx.sink.faults.as_dict()))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "False ['value:a/figure']" in done.stdout


def test_a_run_is_read_alike_from_its_journal_and_from_wandbs_files(tmp_path: Path) -> None:
    """The charts, the verdicts and the number of rows, with UPS's own tables and images at a step among them."""
    pixels = np.zeros((4, 4, 3), "uint8")
    with ups.create_wandb_context({}, "r", mode="local", dir=tmp_path) as ctx:
        stage = ctx.stage("a")
        for step in range(3):
            stage.log(step, loss=1.0 / (step + 1), sample=wandb.Image(pixels))
            ctx.log_image("field", [pixels, 255 - pixels], ["zero", None], stage="a", step=step)
            ctx.log_table("rows", ["n"], [[step]], stage="a", step=step)
    journals = check_run(open_run(tmp_path / "r"))
    source = JournalSource(RunDirectory(tmp_path / "r"))
    source.read_all()
    assert [(medium.kind, medium.name) for medium in source.media()[:4]] == [
        ("image", "training/a/sample"),
        *[("image", "training/a/field")] * 2,
        ("table", "training/a/rows"),
    ]
    deliver(tmp_path / "r")
    files = check_run(open_files(find_run(tmp_path / "r")))
    assert files.rows == journals.rows == 9
    assert [(chart.metric, chart.verdict, chart.points) for chart in files.charts] == [
        (chart.metric, chart.verdict, chart.points) for chart in journals.charts
    ]
    assert [chart.metric for chart in files.charts] == ["training/a/loss"]
    held = read_held(tmp_path / "r")
    shown = [row for row in held.rows if "training/a/field._type" in row]
    assert [(row["training/a/step"], row["training/a/field.count"]) for row in shown] == [(0, 2), (1, 2), (2, 2)]


def test_repair_knows_which_rows_with_media_a_file_lacks(tmp_path: Path) -> None:
    """A row whose first value is a medium is found by its step."""
    with ups.create_wandb_context({}, "r", mode="offline", dir=tmp_path) as ctx:
        ctx.stage("a").log(0, {"sample": wandb.Html("x")})
        ctx.stage("a").log(1, {"sample": wandb.Html("y"), "loss": 1.0})
    missing = missing_rows(open_files(find_run(tmp_path / "r")))
    assert missing is not None
    assert list(missing.number) == []

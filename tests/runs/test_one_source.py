"""Every part of UPS reads a run from its one source: they agree on its rows, its stages and its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import ups
from dashboard.server import eventually, show
from ups.check import check_run
from ups.errors import RunFileError
from ups.journal.run_directory import RunDirectory
from ups.journal.status import Status, read_status, write_status
from ups.journal.waiting import waits
from ups.runs import find_run, open_files, read_run
from ups.runs.reading import open_source

PICTURE = np.zeros((4, 4, 3), dtype=np.uint8)


def log_everything(ctx: ups.WandBContext) -> None:
    """Ten rows with a table and an image after each half."""
    stage = ctx.stage("operator")
    for step in range(10):
        stage.log(step, loss=1 / (step + 1))
        if step % 5 == 4:
            ctx.log_table("samples", ["n"], [[step]])
            ctx.log_image("picture", PICTURE)


def told(*arguments: str, expect: int = 0) -> str:
    """The output of a command of UPS, with its errors where it fails."""
    done = subprocess.run([sys.executable, "-m", "ups", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in (expect, 1), done.stderr
    return done.stdout + done.stderr if expect else done.stdout


def rows_said(path: Path) -> dict[str, int]:
    """How many rows of the run at ``path`` each part of UPS counts."""
    csv = path.parent / f"{path.name}.csv"
    exported = told("export", str(path), "--to", "csv", "-o", str(csv))
    with show(path) as shown:
        card = eventually(lambda: shown.runs()[0], lambda card: card["health"] is not None)
        page = shown.run(card["key"])["card"]["rows"]
    return {
        "check": json.loads(told("check", str(path), "--format", "json"))["runs"][0]["rows"],
        "export": int(exported.split()[-2]),
        "csv": len(csv.read_text().splitlines()) - 1,
        "runs page": card["rows"],
        "run page": page,
    }


@pytest.mark.parametrize("mode", ["offline", "local"])
def test_all_parts_count_the_rows_of_a_run_with_tables_and_images_alike(
    mode: Literal["offline", "local"], script: Callable[..., object], tmp_path: Path
) -> None:
    """W&B gives a table and an image a row of their own: so does everything that counts, delivered or not."""
    with ups.create_wandb_context({}, mode=mode, dir=tmp_path, run_id="r") as ctx:
        log_everything(ctx)
    assert rows_said(tmp_path / "r") == dict.fromkeys(("check", "export", "csv", "runs page", "run page"), 14)


def test_the_journals_and_the_files_of_a_run_have_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    """Also behind a table, and outside any stage, where W&B's own step is the axis."""
    with ups.create_wandb_context({}, mode="offline", delivery="thread", dir=tmp_path, run_id="r") as ctx:
        log_everything(ctx)
        ctx.log_values({"lr": 0.5})
    files = open_files(find_run(ctx.dir))
    status = read_status(RunDirectory(ctx.dir))
    assert status is not None
    write_status(RunDirectory(ctx.dir), Status(state="delivering", mode=status.mode))  # as if cut off
    journals = read_run(find_run(ctx.dir))
    assert (journals.is_journaled, files.is_journaled) == (True, False)
    assert set(journals.metrics) == set(files.metrics)
    for metric in journals.metrics:
        one, other = journals.series(metric), files.series(metric)
        for mine, its in ((one.rows, other.rows), (one.steps, other.steps), (one.x, other.x), (one.y, other.y)):
            np.testing.assert_array_equal(mine, its)


def test_a_declared_stage_of_a_live_run_that_has_not_begun_is_not_an_error(tmp_path: Path) -> None:
    """``ups check`` of a run that still trains exits 0, as ``ups show`` has it; after the end the stage is an error."""
    with ups.create_wandb_context(
        {}, mode="local", dir=tmp_path, run_id="r", stages=["operator", "consistency_distill"]
    ) as ctx:
        for step in range(3):
            ctx.stage("operator").log(step, loss=1.0 / (step + 1))
        command = [sys.executable, "-m", "ups", "check", str(ctx.dir), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        (run,) = json.loads(done.stdout)["runs"]
        assert not run["finished"]
        severities = {finding["code"]: finding["severity"] for finding in run["findings"]}
        assert severities["never-logged"] == "info"
    ended = check_run(ups.open_run(ctx.dir))
    assert ended.finished
    assert {str(finding.code): str(finding.severity) for finding in ended.findings}["never-logged"] == "error"


def test_a_run_that_is_resumed_has_not_ended(tmp_path: Path) -> None:
    """The end of the first training is not the run's, once another goes on with it."""
    with ups.create_wandb_context({}, mode="local", dir=tmp_path, run_id="r") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    assert ups.open_run(ctx.dir).finished
    with ups.create_wandb_context({}, mode="local", dir=tmp_path, run_id="r", resume=True) as again:
        again.stage("a").log(1, loss=0.5)
        assert not ups.open_run(ctx.dir).finished
    assert ups.open_run(ctx.dir).finished


def test_what_waits_is_one_answer(tmp_path: Path) -> None:
    """Until a delivery has reported all rows, and again as soon as another row is journaled."""
    with ups.create_wandb_context({}, mode="local", dir=tmp_path, run_id="r") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    directory = RunDirectory(ctx.dir)
    assert waits(directory)
    manifest = directory.manifest_file
    manifest.write_text(manifest.read_text().replace('"local"', '"offline"'))
    subprocess.run([sys.executable, "-m", "ups", "deliver", str(ctx.dir)], check=True, capture_output=True)
    assert not waits(directory)
    with ups.join_wandb_context(ctx.dir) as joined:
        joined.stage("a").log(1, loss=0.5)
        assert waits(directory)
    assert not waits(directory)


@pytest.mark.parametrize(("rows", "held", "text"), [(10, 13, "13 of 13 rows"), (100, 13, "13 of 100 rows")])
def test_no_message_counts_more_rows_delivered_than_there_are(rows: int, held: int, text: str) -> None:
    """A delivery that begins again counts its rows from the start, and W&B holds more by then."""
    assert Status(rows=rows, confirmed_rows=held).held_of_all == text


@pytest.mark.timeout(30)
def test_a_run_without_journal_and_files_is_an_error_and_not_a_wait(tmp_path: Path) -> None:
    """Nothing is ever read of it, so whoever follows it would wait for ever."""
    with ups.create_wandb_context({}, mode="local", dir=tmp_path, run_id="r") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    for journal in (ctx.dir / "journal").glob("*.jsonl"):
        journal.unlink()
    for read in (read_run, open_source, open_files):
        with pytest.raises(RunFileError, match=r"holds no \.wandb file"):
            read(find_run(ctx.dir))
    assert "holds no .wandb file" in told("report", str(ctx.dir), "-o", str(tmp_path / "r.html"), expect=2)

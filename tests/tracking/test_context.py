"""The rest of what a context does: modes, media, the run view, the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import ups
from held import Held, read_held
from ups.errors import RunDirectoryError, UsageError
from ups.journal.reader import JournalReader
from ups.tracking.mode import resolve_mode

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_mode_that_is_given_wins_in_delivery_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """``WANDB_MODE=local``, which wandb does not know, does not keep an offline run from being delivered."""
    monkeypatch.setenv("WANDB_MODE", "local")
    with ups.create_wandb_context({}, "r", mode="offline") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    monkeypatch.delenv("WANDB_MODE")
    assert len(read_held(ctx.dir).rows) == 1


def test_disabled_touches_no_disk() -> None:
    """A disabled run makes nothing, takes everything, and its children are disabled too."""
    before = sorted(Path.cwd().rglob("*"))
    with ups.create_wandb_context({"lr": 1}, mode="disabled", stages=["a"]) as ctx:
        ctx.stage("a").log(0, loss=1.0)
        ctx.log_training_metric("a", "loss", 1.0, 0)
        ctx.log_eval_summary({"x": 1})
        ctx.log_table("t", ["a"], [[1]])
        ctx.log_image("i", np.zeros((2, 2)))
        ctx.save_file(__file__)
        ctx.log_artifact(__file__)
        ctx.alert("title")
        ctx.run.log({"a": 1})
        with ups.join_wandb_context() as joined:
            assert not joined.enabled
        assert not ctx.enabled
        assert ctx.config["lr"] == 1
    assert sorted(Path.cwd().rglob("*")) == before
    assert "UPS_RUN_DIR" not in os.environ


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({}, "offline"),
        ({"WANDB_MODE": "disabled"}, "disabled"),
        ({"WANDB_MODE": "dryrun"}, "offline"),
        ({"WANDB_MODE": "local"}, "local"),
        ({"WANDB_API_KEY": "x" * 40}, "online"),
        ({"WANDB_API_KEY": "x" * 40, "WANDB_MODE": "offline"}, "offline"),
    ],
)
def test_the_mode_follows_the_environment(
    environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``WANDB_MODE`` decides; else online where there are credentials, else offline."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert resolve_mode(None) == mode
    assert resolve_mode("local") == "local"


@pytest.mark.parametrize(("host", "mode"), [("api.wandb.ai", "online"), ("example.com", "offline")])
def test_credentials_are_found_in_a_netrc_of_the_server(host: str, mode: str) -> None:
    """A netrc entry for W&B's server, under its older name, makes a run online; one for another host does not."""
    netrc = Path.home() / ".netrc"
    netrc.write_text(f"machine {host}\n  login user\n  password {'k' * 40}\n")
    netrc.chmod(0o600)
    assert resolve_mode(None) == mode


def test_a_run_is_online_after_wandb_login(script: Script) -> None:
    """What the real ``wandb.login`` writes down is found, wherever this version of wandb writes it."""
    script("import wandb; wandb.login(key='k' * 40, verify=False)")
    assert resolve_mode(None) == "online"


def test_local_mode_journals_only_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """A local run shows its charts from the journal, runs no wandb, and names the command that delivers it."""
    with ups.create_wandb_context(mode="local", stages=["a", "b"]) as ctx:
        for step in range(5):
            ctx.stage("a").log(step, loss=1 / (step + 1))
    told = capsys.readouterr().err
    assert not (ctx.dir / "wandb").exists()
    assert "5 points" in told
    assert "never-logged" in told  # stage b
    assert f"ups deliver {ctx.dir}" in told.replace("\n", "")
    command = [sys.executable, "-m", "ups", "check", "--format", "json", str(ctx.dir)]
    checked = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert [chart["points"] for chart in checked["runs"][0]["charts"] if chart["stage"] == "a"] == [5]


def test_thread_delivery_gives_the_same_run() -> None:
    """``delivery="thread"`` holds the same rows, defined the same way."""
    held: dict[str, Held] = {}
    for delivery in ("process", "thread"):
        with ups.create_wandb_context({"lr": 1}, mode="offline", delivery=delivery) as ctx:
            for step in range(50):
                ctx.stage("a").log(step, loss=1 / (step + 1))
            ctx.log_eval_summary({"l2": 0.5})
        held[delivery] = read_held(ctx.dir)
    process, thread = held["process"], held["thread"]
    assert thread.stage("a") == process.stage("a")
    assert thread.metrics == process.metrics
    assert thread.exit_codes == process.exit_codes == [0]
    assert thread.summary["eval/l2"] == process.summary["eval/l2"] == 0.5


def test_two_runs_in_one_process_do_not_mix() -> None:
    """Two runs at once each hold their own rows, and the environment is as before when both have ended."""
    first = ups.create_wandb_context(mode="offline")
    second = ups.create_wandb_context(mode="offline")
    for step in range(20):
        first.stage("a").log(step, loss=1.0)
        second.stage("a").log(step, loss=2.0)
    first.finish()
    second.finish()
    assert read_held(first.dir).stage("a") == [(step, 1.0) for step in range(20)]
    assert read_held(second.dir).stage("a") == [(step, 2.0) for step in range(20)]
    assert "UPS_RUN_DIR" not in os.environ


def test_summary_media_and_files_arrive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evaluation goes to the summary and makes no points; a table, an image and a file are in W&B's folder."""
    (tmp_path / "notes.txt").write_text("notes")
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        ctx.stage("a").log(0, loss=1.0)
        ctx.log_eval_summary({"l2": 0.25, "best": "operator"})
        ctx.log_eval_summary({"l2": 0.125}, prefix="eval/distill")
        ctx.log_table("eval/models", ["model", "l2"], [["operator", 0.25], ["distill", float("nan")]])
        ctx.log_image("eval/rollout", np.random.default_rng(0).random((8, 8)), caption="a caption")
        ctx.save_file(tmp_path / "notes.txt")
        ctx.log_artifact(tmp_path / "notes.txt", "notes", "text")
        (tmp_path / "notes.txt").write_text("changed after it was saved")
        (tmp_path / "epoch=3 (1).ckpt").write_text("weights")
        ctx.log_artifact(tmp_path / "epoch=3 (1).ckpt")
        ctx.log_artifact(tmp_path / "notes.txt", "no/name")
        ctx.add_tags("good", "x" * 65)
    held = read_held(ctx.dir)
    assert held.summary["eval/l2"] == 0.25
    assert held.summary["eval/best"] == "operator"
    assert held.summary["eval/distill/l2"] == 0.125
    assert not any("eval/l2" in row for row in held.rows)
    (segment,) = (ctx.dir / "wandb").glob("offline-run-*")
    (table,) = segment.glob("files/media/table/eval/*.json")
    assert json.loads(table.read_text())["data"][0] == ["operator", 0.25]
    assert len(list(segment.glob("files/media/images/eval/*.png"))) == 1
    assert (segment / "files" / "notes.txt").read_text() == "notes"
    assert held.runs[-1]["tags"] == ["good"]
    told = " ".join(capsys.readouterr().err.split())
    assert told.count("'no/name' is not an artifact's name") == 2  # as it happens, and in the tree
    assert told.count("a tag is text of 1 to 64 characters") == 2
    assert "W&B did not take" not in told


def test_an_image_that_is_none_is_told_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot become an image or a table is told once, and the rows go on."""
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        ctx.log_image("i", "no such file.png")
        ctx.log_image("j", np.zeros((2, 2, 7)))
        ctx.log_table("t", ["a", "b"], [[1, 2], [3]])
        ctx.save_file("nothing.txt")
        ctx.stage("a").log(0, loss=1.0)
        ctx.stage("a").log(1, loss=0.5)
    told = " ".join(capsys.readouterr().err.split())
    assert "no such file.png is not a file" in told
    assert "shape (2, 2, 7)" in told
    assert "row 1 has 1 cells for 2 columns" in told
    assert "nothing.txt is not a file" in told
    assert len(read_held(ctx.dir).stage("a")) == 2


def test_the_run_view_logs_through_the_journal() -> None:
    """``ctx.run.log`` keeps every row whatever ``step=`` it is given; a stage's keys go to the stage."""
    with ups.create_wandb_context({"lr": 1}, mode="offline", delivery="thread", name="the name") as ctx:
        assert ctx.run.id == ctx.run_id
        assert ctx.run.name == "the name"
        assert ctx.run.config["lr"] == 1
        assert ctx.run.url is None
        for step in [0, 1, 2, 0, 1]:
            ctx.run.log({"other": step, "training/a/loss": 1.0, "training/a/step": ctx_step(ctx)}, step=step)
        ctx.run.finish()
    held = read_held(ctx.dir)
    assert [row["other"] for row in held.rows if "other" in row] == [0, 1, 2, 0, 1]
    assert [x for x, _ in held.stage("a")] == [0, 1, 2, 3, 4]


def ctx_step(ctx: ups.WandBContext) -> int:
    lines = next((ctx.dir / "journal").glob("*.jsonl")).read_text().splitlines()
    return sum('"stage"' in line for line in lines)


def test_an_exception_in_training_is_a_failed_run(script: Script) -> None:
    """An exception that leaves the ``with`` block delivers everything and closes the run as failed."""
    script(
        """
import ups
with ups.create_wandb_context({}, run_id="r", mode="offline") as ctx:
    ctx.stage("a").log(0, loss=1.0)
    raise RuntimeError("diverged")
""",
        "\udcff",  # a byte that is no UTF-8
        expect=1,
    )
    held = read_held(Path("ups-runs/r"))
    assert held.exit_codes == [1]
    assert len(held.stage("a")) == 1


@pytest.mark.parametrize(("ending", "code"), [("", 0), ("raise RuntimeError('diverged')", 1)])
def test_a_run_that_nobody_finishes_is_finished_at_exit(script: Script, ending: str, code: int) -> None:
    """Without ``finish()`` the end of the process finishes the run, with what the process ended with."""
    source = f"""
import ups
ctx = ups.create_wandb_context({{}}, run_id="r", mode="offline")
ctx.stage("a").log(0, loss=1.0)
{ending}
"""
    script(source, expect=code)
    assert read_held(Path("ups-runs/r")).exit_codes == [code]


def test_finish_twice_does_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    """A second ``finish()`` gives the same report and prints nothing; logging after it is told, and raises nothing.

    The first says last where the run is, and what one may do with it.
    """
    ctx = ups.create_wandb_context(mode="offline", delivery="thread")
    ctx.stage("a").log(0, loss=1.0)
    with pytest.raises(UsageError, match="exit_code is 'well'"):
        ctx.finish("well")  # type: ignore[arg-type]
    report = ctx.finish(None)  # wandb's own default
    run_dir = ctx.dir.relative_to(Path.cwd())
    (segment,) = run_dir.glob("wandb/offline-run-*")
    where = f"ups: in {run_dir}. To see it: ups show. To send it: wandb sync {segment}"
    assert capsys.readouterr().err.splitlines()[-1] == where
    assert ctx.finish(exit_code=1) is report
    assert capsys.readouterr().err == ""
    ctx.stage("a").log(1, loss=1.0)
    assert "logged after finish()" in capsys.readouterr().err
    held = read_held(ctx.dir)
    assert len(held.rows) == 1
    assert held.exit_codes == [0]


def test_a_thread_delivers_though_nobody_finishes(script: Script, tmp_path: Path) -> None:
    """A short script that ends without ``finish()`` leaves its rows in W&B's file, and no traceback."""
    source = """
import ups
ups.create_wandb_context(run_id="r", mode="offline", delivery="thread").stage("a").log(0, loss=1.0)
"""
    assert "Traceback" not in script(source).stderr
    assert read_held(tmp_path).stage("a") == [(0, 1.0)]


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no folder for the run, that is said at the start, with what to do."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(RunDirectoryError, match="change to a folder that exists"):
        ups.create_wandb_context(mode="local")


def test_journals_are_open_only_while_they_are_read() -> None:
    """A run of more processes than a process may have open files can be read and delivered."""
    with ups.create_wandb_context(mode="local") as ctx:
        ctx.stage("a").log(0, loss=1.0)
    (journal,) = (ctx.dir / "journal").glob("*.jsonl")
    before = psutil.Process().num_fds()
    readers = [JournalReader(journal) for _ in range(9)]
    assert all([record for record, _ in reader.read()] for reader in readers)
    assert psutil.Process().num_fds() == before


def test_a_row_after_the_end_raises_if_strict() -> None:
    """With ``strict`` a row that is logged after ``finish()`` raises UPS's own error."""
    ctx = ups.create_wandb_context(mode="local", strict=True)
    ctx.stage("a").log(0, loss=1.0)
    ctx.finish()
    with pytest.raises(UsageError, match="logged after finish"):
        ctx.stage("a").log(1, loss=1.0)


@pytest.mark.parametrize("mode", ["local", "offline"])
def test_a_directory_that_is_gone_does_not_end_the_training(mode: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A run directory that was moved while it trained is told at the end, and nothing raises."""
    with ups.create_wandb_context(mode=mode) as ctx:
        ctx.stage("a").log(0, loss=1.0)
        ctx.dir.rename("moved")
    assert ctx.finish() is None
    told = capsys.readouterr().err
    assert "cannot be read at the end of the run" in told
    assert "No row is lost" not in told
    assert mode == "local" or "has been removed or moved" in told


def test_a_declared_stage_that_never_comes_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The tree names a declared stage without a row; the report holds it."""
    with ups.create_wandb_context(stages=["a", "late"], mode="offline", delivery="thread") as ctx:
        ctx.stage("a").log(0, loss=1.0)
        ctx.stage("a").log(1, loss=1.0)
    report = ctx.finish()
    assert report is not None
    assert [chart.verdict for chart in report.charts if chart.stage == "late"] == ["never-logged"]
    assert "late" in capsys.readouterr().err

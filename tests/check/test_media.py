"""What the check says about tables and images, on runs of the real client, and near misses of which it says nothing."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb

from ups.check import CODES, Finding, Severity, check_run
from ups.check.media_rules import Media, frozen_table, stacked_media
from ups.report import render_tree
from ups.runfile.logged_media import LoggedMedia, media_files, table_size
from ups.runs import open_run

MAKER = Path(__file__).with_name("media_runs.py")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds every run of ``media_runs.py`` under its name."""
    if "log_mode" not in inspect.signature(wandb.Table).parameters:
        pytest.skip("the tables of this wandb do not grow")
    folder = tmp_path_factory.mktemp("media-runs")
    environment = {**os.environ, "WANDB_ERROR_REPORTING": "false"}
    subprocess.run([sys.executable, MAKER, folder], check=True, timeout=300, env=environment)
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Gives a copy of a run's own folder, which a test may change."""

    def copy(name: str) -> Path:
        (source,) = (made / name / "wandb").glob("offline-run-*")
        return Path(shutil.copytree(source, tmp_path / "wandb" / source.name))

    return copy


def found(path: Path) -> list[Finding]:
    """The findings about a run's media."""
    findings = check_run(open_run(path)).findings
    return [each for each in findings if each.code in ("frozen-table", "missing-media", "lost-media", "stacked-media")]


def home_of(run: Path) -> Path:
    return run / "files"


def test_a_table_that_grew_in_vain_is_told_with_its_rows(made: Path) -> None:
    """It was stored when it was first logged, and the rows that came later are lost."""
    (finding,) = found(made / "grown")
    assert (finding.code, finding.severity, finding.metric, finding.count) == (
        "frozen-table",
        Severity.ERROR,
        "preds",
        9,
    )
    assert finding.message == (
        "preds was logged 10 times and grew to 10 rows, but only the 1 row of the first time is stored: 9 rows are lost"
    )
    assert 'log_mode="INCREMENTAL"' in finding.fix
    assert not finding.repairable


def test_a_table_that_got_a_column_in_vain_is_told(made: Path) -> None:
    (finding,) = found(made / "wider")
    assert finding.count == 1
    assert finding.message.endswith("only the columns of the first time are stored: 1 column is lost")


def test_several_tables_of_one_name_are_one_finding(made: Path) -> None:
    """Also where the table was logged in a dictionary: its name is what W&B shows."""
    (finding,) = found(made / "grown_each_epoch")
    assert finding.metric == "val.preds"
    assert finding.message == "2 tables of val.preds grew after they were first logged and stored: 4 rows are lost"


def test_a_table_that_grew_is_told_without_its_file(made: Path, copied: Callable[[str], Path]) -> None:
    """The history alone says it: rows of another size name the same file."""
    run = copied("grown")
    shutil.rmtree(run / "files")
    (finding,) = found(run)
    assert finding.count == 9


def test_a_file_that_holds_all_rows_is_believed(copied: Callable[[str], Path]) -> None:
    run = copied("grown")
    (table,) = (run / "files" / "media" / "table").iterdir()
    table.write_text(json.dumps({"columns": ["step", "text"], "data": [[step, ""] for step in range(10)]}))
    assert found(run) == []


@pytest.mark.parametrize("name", ["mutable", "incremental", "anew", "long", "images", "overwritten_mutable"])
def test_nothing_is_said_of_media_that_are_right(made: Path, name: str) -> None:
    """A table in the modes that store what was added, a new one each time, more rows than its file has; images."""
    run = open_run(made / name)
    assert run.media
    assert found(made / name) == []


def test_what_was_overwritten_in_an_open_row_is_told(made: Path) -> None:
    """Of the values of one row the last stands, and the others' files are left behind."""
    findings = {finding.metric: finding for finding in found(made / "overwritten")}
    assert set(findings) == {"cands", "val/image"}
    assert {finding.code for finding in findings.values()} == {"lost-media"}
    assert findings["cands"].count == findings["val/image"].count == 3
    assert findings["cands"].severity is Severity.WARNING
    assert "commit=False" in findings["cands"].cause
    assert "wandb dropped" not in findings["cands"].cause


def test_media_of_dropped_rows_are_told_with_what_dropped_them(made: Path) -> None:
    """The second stage's images but for the last, which joined the row that was open, with another name's file."""
    (finding,) = found(made / "dropped")
    assert finding.metric == "image"
    assert finding.count == 3
    assert "wandb dropped 2 calls of log() whose step= went back" in finding.cause


def test_while_a_run_goes_on_nothing_is_lost(copied: Callable[[str], Path]) -> None:
    """The row that names a file may still come."""
    run = copied("overwritten")
    (file,) = run.glob("*.wandb")
    file.write_bytes(file.read_bytes()[:-40])
    assert not open_run(run).finished
    assert found(run) == []


def test_files_that_are_not_there_are_counted_and_named(copied: Callable[[str], Path]) -> None:
    """The finding gives the number of files in the history, and the names of those that are missing."""
    run = copied("images")
    for path in sorted((run / "files" / "media" / "images" / "val").glob("samples_0_*")):
        path.unlink()
    (finding,) = found(run)
    assert (finding.code, finding.severity, finding.metric, finding.count) == (
        "missing-media",
        Severity.WARNING,
        "val/samples",
        2,
    )
    assert (
        "the history names 6 files of val/samples, but 2 are not in the run's folder: media/images/val/"
        in finding.message
    )


def test_an_offline_copy_without_its_media_is_told(copied: Callable[[str], Path]) -> None:
    """``wandb sync`` cannot upload the missing files."""
    run = copied("grown")
    shutil.rmtree(run / "files" / "media")
    assert [finding.code for finding in found(run)] == ["frozen-table", "missing-media"]


@pytest.mark.parametrize("how", ["synced", "online", "copied alone"])
def test_nothing_is_said_of_files_that_were_cleaned(copied: Callable[[str], Path], how: str) -> None:
    """After ``wandb sync``, of a run that was online, and of a ``.wandb`` file that was copied by itself."""
    run = copied("images")
    (file,) = run.glob("*.wandb")
    shutil.rmtree(run / "files" / "media")
    if how == "synced":
        file.with_name(f"{file.name}.synced").touch()
    elif how == "online":
        run = run.rename(run.with_name(run.name.removeprefix("offline-")))
    else:
        shutil.rmtree(run / "files")
    assert found(run) == []


def test_images_of_two_sessions_at_one_step_are_told(made: Path) -> None:
    """Offline, a second session with the same id numbers its rows from 0 again."""
    (finding,) = found(made / "sessions")
    assert (finding.code, finding.severity, finding.metric, finding.count) == (
        "stacked-media",
        Severity.WARNING,
        "image",
        2,
    )
    assert finding.message == "2 of the 4 values of image share a _step with another, first at 0"


def test_media_have_no_chart_and_stand_with_the_run(made: Path) -> None:
    """The tree prints a finding of a name that no chart has."""
    check = check_run(open_run(made / "grown"))
    assert "preds" not in {chart.metric for chart in check.charts}
    text = render_tree(check, width=300)
    assert "frozen-table" in text
    assert "9 rows are lost" in text


def test_a_path_out_of_the_run_is_not_followed(copied: Callable[[str], Path], tmp_path: Path) -> None:
    """A link in the place of the media folder, and paths with ``..``, lead nowhere."""
    run = copied("grown")
    home = home_of(run)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(home / "media", elsewhere)
    (home / "media").symlink_to(elsewhere)
    assert media_files(home) is None
    (home / "media").unlink()
    (home / "media").mkdir()
    (home / "media" / "table").symlink_to(elsewhere / "table")
    assert media_files(home) == frozenset(["media/table"])
    (name,) = (elsewhere / "table").iterdir()
    assert table_size(home, f"media/table/{name.name}") is None
    os.mkfifo(home / "media" / "pipe")
    assert table_size(home, "media/pipe") is None


def test_damaged_table_files_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for number, content in enumerate(["", "[]", '{"data": 3}', '{"data": [[NaN]], "columns": ["a"]}', "[" * 100_000]):
        (tmp_path / "media" / f"{number}").write_text(content)
    sizes = [table_size(tmp_path, f"media/{number}") for number in range(5)]
    assert sizes == [None, None, None, (1, 1), None]


def test_a_row_longer_than_a_block_comes_in_its_place(tmp_path: Path) -> None:
    """Rows that are put together from several chunks stand among the others."""
    source = """
import sys, wandb
run = wandb.init(mode="offline", dir=sys.argv[1], settings=wandb.Settings(silent=True, console="off"))
for step in range(6):
    run.log({"t": wandb.Table(columns=["a"], data=[[step]]), "wide": "w" * (70_000 if step % 2 else 1)})
run.finish()
"""
    subprocess.run([sys.executable, "-c", source, tmp_path], check=True, timeout=120)
    assert [each.step for each in open_run(tmp_path / "wandb").media] == list(range(6))


def test_rules_go_by_the_facts() -> None:
    """Tables without sizes in the history, and one value per step, give no findings."""
    home = Path("files")
    logged = tuple(LoggedMedia("t", step, home, ("media/table/t_0.json",)) for step in range(3))
    assert frozen_table(Media("t", logged)) is None
    assert stacked_media(Media("t", logged)) is None
    assert stacked_media(Media("t", (*logged, logged[0]))) is not None


def test_every_code_has_a_page() -> None:
    assert {"frozen-table", "missing-media", "lost-media", "stacked-media"} <= set(CODES)

"""Links to W&B's files of a script's run, where the script would have them without UPS."""

from __future__ import annotations

from pathlib import Path

from run_directories import PROCESS, write_run
from ups.check import check_run
from ups.delivery.delivery import Delivery
from ups.delivery.wandb_files import link_for_script
from ups.journal.run_directory import RunDirectory
from ups.runs import find_runs, open_run


def made(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True)
    return folder


def test_the_first_session_is_in_the_scripts_folder_and_later_ones_beside_it(tmp_path: Path) -> None:
    """The links are relative, so that they hold where all of it is moved."""
    sessions = [made(tmp_path / "ups-runs" / "a" / "wandb" / f"offline-run-{number}-a") for number in range(2)]
    for session in sessions:
        (session / "run-a.wandb").write_text(session.name)
        (made(session / "files") / "picture.png").write_text(session.name)
    folder = made(tmp_path / "wandb" / "offline-run-9-a")
    made(folder / "logs")
    made(folder / "files")
    for session in sessions:
        link_for_script(folder, session, "a")
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    for number, place in enumerate(("offline-run-9-a", "offline-run-1-a")):
        assert (moved / "wandb" / place / "run-a.wandb").read_text() == f"offline-run-{number}-a"
        assert (moved / "wandb" / place / "files" / "picture.png").read_text() == f"offline-run-{number}-a"


def test_a_run_is_found_once_and_read_through_its_link(tmp_path: Path) -> None:
    """From the folder above both, and by the folder that the script knows."""
    run = write_run(tmp_path / "ups-runs" / "a", [{"time": 1.0, "log": {"loss": step}} for step in range(5)])
    folder = made(tmp_path / "wandb" / "offline-run-20260101_000000-a")
    made(folder / "logs")
    Delivery(RunDirectory.open(run), "offline", owner=PROCESS, wandb_folder=folder, own_process=False).run()
    (found,) = find_runs(tmp_path)
    assert found.directory == run
    assert [chart.points for chart in check_run(open_run(folder)).charts] == [5]


def test_a_folder_that_takes_no_link_costs_no_row(tmp_path: Path) -> None:
    """It is reported, and the run is delivered."""
    run = write_run(tmp_path / "ups-runs" / "a", [{"time": 1.0, "log": {"loss": 1.0}}])
    folder = tmp_path / "wandb" / "gone"
    status = Delivery(RunDirectory.open(run), "offline", owner=PROCESS, wandb_folder=folder, own_process=False).run()
    assert (status.state, status.rows) == ("finished", 1)
    assert "has no link to" in str(status.faults)

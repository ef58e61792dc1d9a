"""Links to W&B's files of a script's run, where the script would have put them without UPS."""

from __future__ import annotations

from pathlib import Path

import pytest

from run_directories import PROCESS, write_run
from ups.delivery.delivery import Delivery
from ups.delivery.wandb_files import link_in_wandb_folder
from ups.journal.run_directory import RunDirectory


def made(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True)
    return folder


def test_each_session_is_linked_and_the_newest_is_latest_run(tmp_path: Path) -> None:
    """Links of the same run whose folders are gone are removed; what else is in the folder stays."""
    sessions = [made(tmp_path / "ups-runs" / "a" / "wandb" / f"offline-run-{number}-a") for number in range(3)]
    folder = made(tmp_path / "wandb")
    other = folder / "offline-run-9-b"
    other.symlink_to(tmp_path / "ups-runs" / "b" / "wandb" / "offline-run-9-b")  # another run's, on a disk that is away
    plain = made(folder / "offline-run-8-c")
    for session in sessions[:2]:
        link_in_wandb_folder(folder, session)
    sessions[0].rmdir()
    link_in_wandb_folder(folder, sessions[2])
    assert {path.name for path in folder.iterdir()} == {
        "latest-run",
        sessions[1].name,
        sessions[2].name,
        other.name,
        plain.name,
    }
    assert (folder / "latest-run").resolve() == sessions[2]
    assert (folder / sessions[1].name).resolve() == sessions[1]
    assert not (folder / "latest-run").readlink().is_absolute()  # they hold where the whole folder is moved


@pytest.mark.parametrize("by_trainer", [True, False])
def test_only_the_script_itself_has_links_made(tmp_path: Path, by_trainer: bool) -> None:
    """A run directory from elsewhere names no folder in which links are made."""
    run = write_run(tmp_path / "ups-runs" / "a", [], wandb_folder=str(tmp_path / "wandb"))
    owner = PROCESS if by_trainer else None
    Delivery(RunDirectory.open(run), "offline", owner=owner, own_process=False).run()
    assert (tmp_path / "wandb" / "latest-run").exists() is by_trainer

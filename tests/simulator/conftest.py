"""A configuration so small that every stage trains in a second."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from simulator.here import UPSHere
from ups import WandBContext, create_wandb_context
from ups.cli import main
from ups.simulator.config import Config, load
from ups.simulator.progress import Reporter

TINY = [
    "data.points=32",
    "data.train_trajectories=8",
    "data.train_frames=9",
    "data.validation_trajectories=2",
    "data.test_trajectories=3",
    "data.test_steps=6",
    "model.dilated.dilations=[1, 2]",
    "training.warmup=5",
    "training.save_every=16",
    "stages.operator.steps=40",
    "stages.diffusion_residual.steps=60",
    "stages.consistency_distill.steps=40",
]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests share the machine: two threads of PyTorch on a busy one wait for each other most of the time."""
    torch.set_num_threads(1)


@pytest.fixture
def ups_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> UPSHere:
    """Runs ``ups`` in a folder, by default tracked into a journal alone."""

    def run(*arguments: str, folder: Path, mode: str = "local", expect: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["ups", *arguments])
        monkeypatch.setenv("WANDB_MODE", mode)
        monkeypatch.chdir(folder)
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        assert (end.value.code or 0) == expect, printed.err
        return printed.out + printed.err

    return run


@pytest.fixture(scope="session")
def tiny() -> Config:
    """The smoke preset made smaller still."""
    return load("smoke", TINY)


@pytest.fixture
def new_context(tmp_path: Path) -> Callable[[str], WandBContext]:
    """Starts a run that is journaled in ``tmp_path / name`` and goes nowhere else."""
    return lambda name: create_wandb_context(run_id=name, mode="local", delivery="thread", dir=tmp_path)


@pytest.fixture(scope="session")
def quiet() -> Reporter:
    """A reporter that nobody hears."""
    return Reporter(Console(file=io.StringIO()))

"""What all tests share: a clean environment, scripts run as a user would run them, and W&B's own reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from wandb_server import wandb_server

__all__ = ["wandb_server"]

LONG = {"dashboard", "docs", "integrations", "release", "simulator"}


def pytest_sessionstart() -> None:
    """Fixtures of a whole module have no settings either; Ctrl-C is heard, though a shell may run tests behind it.

    Tests share the machine: two threads of PyTorch on a busy one wait for each other most of the time.
    """
    forget_settings()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # wandb's models look through all packages for plugins
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders with the longest tests come first, so that no process is still at one when the others have ended."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.parts))


def forget_settings() -> None:
    """Neither those of the person who runs the tests, nor those that wandb left behind in this process."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "UPS_")):
            del os.environ[name]


@pytest.fixture(autouse=True)
def nobody_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No account, no settings of the person who runs the tests, and an empty working directory."""
    forget_settings()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_X_SAVE_REQUIREMENTS", "false")  # listing all packages takes 0.1 s of each run
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield
    forget_settings()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python source as a script of its own, in the working directory; fails if the script does.

    ``under`` is a command that runs another, as ``unshare``.
    """

    def run(
        source: str,
        *arguments: str,
        env: dict[str, str] | None = None,
        expect: int | None = 0,
        timeout: float = 300,
        under: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "train.py"
        path.write_text(source, encoding="utf-8")
        done = subprocess.run(
            [*under, sys.executable, str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run

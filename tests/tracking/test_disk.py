"""Disks that fill, and directories that turn read-only: training goes on, W&B gets every row, and it is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from held import read_held

Script = Callable[..., "subprocess.CompletedProcess[str]"]

OWN_MOUNTS = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")

# Without the right of root to write where no permission says so.
AS_A_USER = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")


def works(*command: str) -> bool:
    """Whether a command is there and may do what it does."""
    return (
        shutil.which(command[0]) is not None
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What it said, without the line breaks of the tree."""
    return " ".join(done.stderr.replace("│", " ").split())


LIMITED = """
import resource, signal, sys, ups
sys.dont_write_bytecode = True  # which would be cut off, for all
ctx = ups.create_wandb_context({}, run_id="full", mode="offline")
stage = ctx.stage("a")
for step in range(3000):
    if step == 1000:
        size = next((ctx.dir / "journal").glob("*.jsonl")).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
    if step == 2000 and "freed" in sys.argv:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stage.log(step, loss=1.0)
if "freed" not in sys.argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))
ctx.finish()
"""


def test_a_disk_that_fills_and_is_freed_loses_nothing(script: Script) -> None:
    """While the disk takes nothing rows wait in memory, said once; when it does again, all are delivered."""
    done = script(LIMITED, "freed")
    assert done.stderr.count("Rows wait in memory: free some space") == 2  # as it happens, and in the tree
    assert [x for x, _ in read_held(Path("ups-runs/full")).stage("a")] == list(range(3000))


def test_a_disk_that_stays_full_delivers_what_was_journaled(script: Script) -> None:
    """The rows that reached the journal are delivered, and the end says how many did not."""
    done = script(LIMITED)
    run_dir = Path("ups-runs/full")
    lines = next((run_dir / "journal").glob("*.jsonl")).read_text().splitlines()
    whole = sum(line.endswith("}}") and '"values"' in line for line in lines)
    assert 1000 < whole < 1100
    assert [x for x, _ in read_held(run_dir).stage("a")] == list(range(whole))
    assert f"{3001 - whole} lines could not be written" in told(done)


def test_a_full_disk_raises_if_strict_and_loses_nothing(script: Script) -> None:
    """With ``strict`` the row that finds the disk full raises ``OSError``; it waits, and is delivered later."""
    done = script(
        """
import resource, sys, ups
sys.dont_write_bytecode = True  # which would be cut off, for all
with ups.create_wandb_context({}, "full", mode="offline", strict=True) as ctx:
    stage = ctx.stage("a")
    stage.log(0, loss=1.0)
    size = next((ctx.dir / "journal").glob("*.jsonl")).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        stage.log(1, loss=1.0)
    except OSError as error:
        print("raised", error.strerror)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    stage.log(2, loss=1.0)
"""
    )
    assert done.stdout == "raised File too large\n"
    assert [x for x, _ in read_held(Path("ups-runs/full")).stage("a")] == [0, 1, 2]


# Fills its disk while a backlog is on its way into W&B's file, and logs on.
SMALL_DISK = """
import os, pathlib, shutil, subprocess, sys, time, ups
here = pathlib.Path.cwd()
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(here / "small")], check=True)
os.chdir("small")

def fill():
    ballast = os.open("ballast", os.O_WRONLY | os.O_CREAT)
    for size in (65536, 512, 1):
        try:
            while True:
                os.write(ballast, b"x" * size)
        except OSError:
            pass
    os.close(ballast)

with ups.create_wandb_context({}, "full", mode="offline") as ctx:
    stage = ctx.stage("a")
    for step in range(4000):
        stage.log(step, loss=1.0)
    while sum(path.stat().st_size for path in ctx.dir.glob("wandb/*run-*/*.wandb")) < 100_000:
        time.sleep(0.001)
    fill()
    for step in range(4000, 4500):
        stage.log(step, loss=1.0)
    time.sleep(1.5)
    os.unlink("ballast")
    for step in range(4500, 5000):
        stage.log(step, loss=1.0)
shutil.copytree(ctx.dir, here / "ups-runs" / "full", symlinks=True)
"""


@pytest.mark.skipif(
    not works(*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"), reason="needs the right to mount a small disk"
)
def test_a_small_disk_that_fills_under_all_of_it_loses_nothing(script: Script) -> None:
    """When journal, delivery and W&B's file meet a full disk at once, W&B holds every row once after it was freed."""
    Path("small").mkdir()
    done = script(SMALL_DISK, under=OWN_MOUNTS)
    assert [x for x, _ in read_held(Path("ups-runs/full")).stage("a")] == list(range(5000))
    assert "Rows wait in memory: free some space" in told(done)
    assert "the journal can be written again" in told(done)
    assert "1 of 1 charts full, 5,000 rows" in told(done)


READ_ONLY = """
import contextlib, os, sys, time, ups

def turn(writable):
    for path in [ctx.dir, *ctx.dir.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):  # delivery replaces its files
            if path.is_symlink():
                continue
            path.chmod(path.stat().st_mode | 0o200 if writable else path.stat().st_mode & ~0o222)

with ups.create_wandb_context({}, "r", mode="offline") as ctx:
    stage = ctx.stage("a")
    while not list(ctx.dir.glob("wandb/*run-*/*.wandb")):
        time.sleep(0.01)
    for step in range(1000):
        stage.log(step, loss=1.0)
        time.sleep(0.003)
        if step == 100:
            turn(writable=False)
        if step == 900 and "back" in sys.argv:
            turn(writable=True)
"""


@pytest.fixture
def made_writable() -> Iterator[None]:
    """At the end of a test all can be removed, and no delivery of it goes on."""
    yield
    subprocess.run(["chmod", "-R", "u+w", "ups-runs"], check=True)
    end_deliveries()


def end_deliveries() -> None:
    """End what still delivers the run, and wandb's backend with it."""
    for process in psutil.process_iter(["cmdline"]):
        if {"deliver", str(Path("ups-runs/r").absolute())} <= set(process.info["cmdline"] or ()):
            for one in (*process.children(recursive=True), process):
                one.kill()
            process.wait(10)


@pytest.mark.skipif(
    not works(*AS_A_USER, sys.executable, "-V"), reason="needs to run without root's right to write anywhere"
)
@pytest.mark.usefixtures("made_writable")
def test_a_directory_that_is_read_only_for_a_while_loses_nothing(script: Script) -> None:
    """The training is told that its directory turned read-only; once it is writable again W&B gets every row."""
    done = script(READ_ONLY, "back", under=AS_A_USER)
    assert "cannot be written any more" in told(done)
    assert [x for x, _ in read_held(Path("ups-runs/r")).stage("a")] == list(range(1000))


@pytest.mark.skipif(
    not works(*AS_A_USER, sys.executable, "-V"), reason="needs to run without root's right to write anywhere"
)
@pytest.mark.usefixtures("made_writable")
def test_a_directory_that_stays_read_only_is_told_and_delivered_later(script: Script) -> None:
    """``finish()`` does not wait for what cannot be: it says how to deliver, and that command brings every row."""
    done = script(READ_ONLY, under=AS_A_USER, env={"UPS_FINISH_TIMEOUT": "600"})
    run_dir = Path("ups-runs/r")
    assert "cannot be written any more" in told(done)
    assert f"Deliver the rest with: ups deliver {run_dir.absolute()}" in told(done)
    end_deliveries()
    subprocess.run(["chmod", "-R", "u+w", str(run_dir)], check=True)
    subprocess.run([sys.executable, "-m", "ups", "deliver", str(run_dir)], check=True)
    assert [x for x, _ in read_held(run_dir).stage("a")] == list(range(1000))

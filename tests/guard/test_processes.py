"""Runs that processes log to which a script forks, and runs that it makes in processes that it spawns."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.test_broken_loops import script_with_guard
from held import Held, read_held

Script = Callable[..., "subprocess.CompletedProcess[str]"]

FORKED = """
import multiprocessing, ups, wandb
run = wandb.init(mode="offline", settings=wandb.Settings(silent=True, x_disable_stats=True))
{guard}

def child(number):
    for step in range(20):
        run.log({{f"child{{number}}/x": 100 * number + step}}, step=step)

for step in range(20):
    run.log({{"parent/x": step}}, step=step)
children = [multiprocessing.get_context("fork").Process(target=child, args=(number,)) for number in range(2)]
for each in children:
    each.start()
for each in children:
    each.join()
for step in range(20, 30):
    run.log({{"parent/x": step}}, step=step)
run.finish()
"""
SPAWNED = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor

def train(rank, name="pool"):
    import wandb
    if rank == 0:
        settings = wandb.Settings(silent=True, x_disable_stats=True)
        run = wandb.init(mode="offline", id=name, settings=settings)
        for stage in ("a", "b"):
            for step in range(10):
                run.log({f"{stage}/loss": float(step)}, step=step)
        run.finish()
    else:
        assert "wandb" in sys.modules  # imported above; a process that does not import it has no need of a guard

def idle():
    print("wandb" in sys.modules)

if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        process = context.Process(target=train, args=(0, method))
        process.start()
        process.join()
        assert process.exitcode == 0
    process = multiprocessing.get_context("spawn").Process(target=idle)
    process.start()
    process.join()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(train, 0).result()
"""
TORCH = """
import torch.multiprocessing, wandb

def train(rank):
    if rank == 0:
        run = wandb.init(mode="offline", id="torch", settings=wandb.Settings(silent=True, x_disable_stats=True))
        for stage in ("a", "b"):
            for step in range(10):
                run.log({f"{stage}/loss": float(step)}, step=step)
        run.finish()

if __name__ == "__main__":
    torch.multiprocessing.spawn(train, nprocs=2)
"""


def assert_children_are_full(held: Held) -> None:
    """Every step of both children is there, on an axis of theirs."""
    for number in range(2):
        assert held.points(f"child{number}/x", f"child{number}/step") == [(x, 100 * number + x) for x in range(20)]


def test_forked_children_keep_their_steps_as_an_axis(script: Script) -> None:
    """Each process would count W&B's numbers by itself: ``step=`` is left out, which is said, and no row is lost."""
    done = script(FORKED.format(guard="ups.guard(run)"))
    held = read_held(Path.cwd())
    assert_children_are_full(held)
    assert held.points("parent/x", "_step") == [(step, step) for step in range(20)]
    assert held.points("part2/parent/x", "part2/parent/step") == [(step, step) for step in range(20, 30)]
    assert 1 <= done.stderr.count("several processes log to this run") <= 2  # two can begin at the same time


def test_forked_children_have_journals_of_their_own() -> None:
    """Delivery reads them in one order, and the parent keeps ``step=``, in a part where the children were first."""
    Path("train.py").write_text(FORKED.format(guard=""), encoding="utf-8")
    done = script_with_guard("train.py")
    assert done.returncode == 0, done.stderr
    held = read_held(Path.cwd())
    assert_children_are_full(held)
    parent = held.points("parent/x", "_step") + held.points("part2/parent/x", "part2/parent/step")
    assert parent == [(step, step) for step in range(30)]


@pytest.mark.parametrize(
    ("source", "names"), [(SPAWNED, ["spawn", "forkserver", "pool"]), (TORCH, ["torch"])], ids=["python", "torch"]
)
def test_a_run_that_a_spawned_process_makes_is_guarded(source: str, names: list[str]) -> None:
    """The guard of every run is carried to processes that begin afresh; one without wandb does not import it."""
    Path("train.py").write_text(source, encoding="utf-8")
    done = script_with_guard("train.py")
    assert done.returncode == 0, done.stderr
    assert "True" not in done.stdout
    for name in names:
        (folder,) = Path("wandb").glob(f"offline-run-*-{name}")
        held = read_held(folder)
        assert held.points("a/loss", "_step") == [(step, float(step)) for step in range(10)], name
        assert held.points("b/loss", "b/step") == [(step, float(step)) for step in range(10)], name


def test_a_spawned_process_that_cannot_import_ups_is_not_disturbed(script: Script) -> None:
    """It says so and does its work; after ``release`` nothing is carried."""
    done = script(
        """
import multiprocessing, sys

def work():
    print("worked")

if __name__ == "__main__":
    import ups
    spawn = multiprocessing.get_context("spawn")
    guard = ups.guard()
    kept, sys.path[:] = list(sys.path), []
    for _ in range(2):
        process = spawn.Process(target=work)
        sys.path[:] = [each for each in kept if "src" not in each and "site-packages" not in each]
        process.start()
        process.join()
        sys.path[:] = kept
        guard.release()
"""
    )
    assert done.stdout == "worked\nworked\n"
    assert done.stderr.count("this process has no guard") == 1

"""The guard itself: where it comes off again, what it takes, and what it says where it cannot work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import wandb

import ups
from guard.loops import open_run
from held import Held, read_held
from ups.errors import UsageError
from wandb_server import WandBServer, run_client


def finish(run: wandb.Run, folder: Path | None = None) -> Held:
    """End the run; what W&B holds."""
    run.finish()
    wandb.teardown()
    return read_held(folder or Path.cwd())


def test_release_puts_everything_back() -> None:
    """After ``release()`` the run's methods and wandb's are those from before, and W&B's rules hold again."""
    run = open_run(Path.cwd())
    before = (run.log, run.define_metric, run.finish, wandb.log, wandb.define_metric)
    guard = ups.guard(run)
    assert run.log != before[0]
    assert wandb.log == run.log
    run.log({"loss": 1.0}, step=5)
    run.log({"other/loss": 1.0}, step=0)
    kept = run.log
    guard.release()
    guard.release()
    assert (run.log, run.define_metric, run.finish, wandb.log, wandb.define_metric) == before
    assert not {"log", "define_metric", "finish"} & vars(run).keys()
    kept({"lost": 1.0}, step=0)
    held = finish(run)
    assert held.points("other/loss", "other/step") == [(0, 1.0)]
    assert not any("lost" in row for row in held.rows)


def test_a_guard_is_released_by_with_and_by_finish() -> None:
    """``with ups.guard(run):`` guards that block, and ``finish`` releases too."""
    run = open_run(Path.cwd())
    with ups.guard(run) as guard:
        assert ups.guard(run) is guard
        run.log({"loss": 1.0}, step=3)
    run.log({"lost": 1.0}, step=0)
    ups.guard(run)
    held = finish(run)
    assert "log" not in vars(run)
    assert not any("lost" in row for row in held.rows)


def test_a_second_guard_is_the_first() -> None:
    """Guarding twice guards once: a point is in one row, in one part."""
    guards = ups.guard(), ups.guard()
    run = open_run(Path.cwd())
    assert guards[0] is guards[1]
    for _ in range(2):
        ups.guard(run)
        for step in range(3):
            wandb.log({"loss": 1.0}, step=step)
    guards[0].release()
    assert wandb.init.__module__.startswith("wandb")
    assert "log" not in vars(run)
    held = finish(run)
    assert held.points("loss", "_step") == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert held.points("part2/loss", "part2/step") == [(0, 1.0), (1, 1.0), (2, 1.0)]


@pytest.mark.parametrize("silent", [True, False])
def test_a_silent_run_prints_no_report(silent: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """As wandb itself; another run's charts and place are printed at its end."""
    with ups.guard():
        run = wandb.init(mode="offline", settings=wandb.Settings(silent=silent, console="off", x_disable_stats=True))
        run.log({"loss": 1.0})
        run.finish()
        wandb.teardown()
    assert ("charts full" in capsys.readouterr().err) is not silent


def test_runs_side_by_side_are_guarded_each_for_itself() -> None:
    """Two runs at once do not know of each other, and a run without a guard is wandb's own."""
    with ups.guard():
        one = open_run(Path.cwd(), id="one", reinit="create_new")
        two = open_run(Path.cwd(), id="two", reinit="create_new")
    plain = open_run(Path.cwd(), id="plain", reinit="create_new")
    assert "log" not in vars(plain)
    ups.guard(one)
    ups.guard(two)
    for step in range(4):
        one.log({"a/loss": 1.0}, step=10 + step)
        two.log({"a/loss": 1.0}, step=step)
    for run in (one, two, plain):
        run.finish()
    wandb.teardown()
    (path,) = Path("wandb").glob("offline-run-*-two")
    assert read_held(path).points("a/loss", "_step") == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]


def test_the_module_can_be_called_however_it_is_imported() -> None:
    """``ups.guard(run)`` works after ``import ups.guard`` and after ``from ups import guard`` alike."""
    code = """
import ups.guard
try: ups.guard({"loss": 1})
except ups.errors.UsageError as error: print(error)
from ups import guard
try: guard({"loss": 1})
except ups.errors.UsageError as error: print(error)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, second = printed.splitlines()
    assert first == second
    assert "takes the run that wandb.init() returns, not builtins.dict" in first


def test_a_run_that_is_finished_is_refused() -> None:
    """A finished run is one clear line, not a guard that does nothing."""
    run = open_run(Path.cwd())
    run.finish()
    with pytest.raises(UsageError, match=rf"run {run.id} is finished; call ups.guard\(run\) right after wandb.init"):
        ups.guard(run)


def test_a_disabled_run_is_left_alone() -> None:
    """With ``mode="disabled"`` there is nothing to guard, and the script goes on."""
    run = wandb.init(mode="disabled")
    log = vars(run).get("log")
    with ups.guard(run):
        run.log({"loss": 1.0}, step=3)
        run.log({"loss": 1.0}, step=0)
        assert vars(run).get("log") is log
    run.finish()


def test_a_run_of_ups_needs_no_guard() -> None:
    """``ctx.run`` is refused with the reason: its charts are full."""
    with (
        ups.create_wandb_context({}, mode="offline") as ctx,
        pytest.raises(UsageError, match=r"ctx\.run goes through UPS.*leave the guard out"),
    ):
        ups.guard(ctx.run)


@pytest.mark.parametrize(
    ("data", "step"),
    [
        ([1.0], None),
        ({1: 2.0}, None),
        ({"loss": 1.0}, "3"),
        ({"loss": 1.0}, 3.0),
        ({"loss": 1.0}, True),
        ({"loss": 1.0}, 2**70),
        ({"loss": object()}, 3),
    ],
    ids=[
        "no-dictionary",
        "name-no-string",
        "step-no-number",
        "step-no-integer",
        "step-bool",
        "step-too-large",
        "value",
    ],
)
def test_wrong_arguments_are_as_wrong_as_without_a_guard(data: object, step: object) -> None:
    """What ``run.log`` refuses, it refuses with a guard by the same exception, and the run goes on."""
    run = open_run(Path.cwd())

    def refusal() -> tuple[type[Exception], str] | None:
        try:
            run.log(data, step=step)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError, wandb.Error) as error:
            return type(error), str(error)
        return None

    plain = refusal()
    ups.guard(run)
    assert refusal() == plain
    if plain is None:
        run.finish()
        pytest.skip("this wandb does not refuse it")
    run.log({"loss": 1.0}, step=0)
    run.log({"loss": 2.0}, step=1)
    held = finish(run)
    assert held.points("loss", "_step") == [(0, 1.0), (1, 2.0)]


def test_training_goes_on_where_wandb_has_died(capfd: pytest.CaptureFixture[str]) -> None:
    """When wandb's process is killed, the rows that are lost are said once and counted; no call raises."""
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
import psutil, time, ups
from pathlib import Path
from guard.loops import open_run
run = open_run(Path.cwd())
ups.guard(run)
run.log({{"loss": 1.0}})
for process in psutil.Process().children(recursive=True):
    if process.name().startswith("wandb-core"):
        process.kill()
        process.wait()
for _ in range(50):
    run.log({{"loss": 1.0}})
    time.sleep(0.02)
print("trained")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout.strip() == "trained"
    said = [line for line in done.stderr.splitlines() if line.startswith("ups: ")]
    assert "wandb takes no more rows" in said[0]
    assert "calls that wandb could not take: " in said[1]


RESUMING = """
import ups, wandb
ups.guard()
run = wandb.init(project="p", id="again", resume="allow", settings=wandb.Settings(silent=True, x_disable_stats=True))
run.define_metric("a/loss", step_metric="a/step")
for step in range({start}, {stop}):
    run.log({{"loss": 1.0, "a/loss": 2.0, "a/step": step}}, step=step)
run.finish()
"""


def test_a_run_that_is_resumed_goes_on_beside_what_it_has(wandb_server: WandBServer, tmp_path: Path) -> None:
    """A run resumed below where it stood keeps every row: what is done again is a part, on both kinds of axis."""
    run_client(wandb_server, tmp_path, RESUMING.format(start=0, stop=10))
    run_client(wandb_server, tmp_path, RESUMING.format(start=6, stop=12))
    run = wandb_server.run("again")
    assert run.points("a/step", "loss") == [(step, 1.0) for step in range(10)]
    assert run.points("a/step", "a/loss") == [(step, 2.0) for step in range(10)]
    assert run.points("part2/a/step", "part2/a/loss") == [(step, 2.0) for step in range(6, 12)]
    assert run.points("part2/step", "part2/loss") == [(step, 1.0) for step in range(6, 12)]


def test_a_row_does_not_go_over_the_one_before_that_was_moved_to_its_number() -> None:
    """A late row is moved to a number which the next row of its name has by right: both are kept."""
    run = open_run(Path.cwd())
    ups.guard(run)
    for name, step in {"loss": 3000, "a": 2000, "b": 1000}.items():
        run.log({name: 1.0}, step=step)
    run.log({"loss": 2.0}, step=3001)
    run.log({"loss": 3.0}, step=3002)
    rows = finish(run).rows
    assert [value for row in rows for name, value in row.items() if name.endswith("loss")] == [1.0, 2.0, 3.0]


def test_threads_that_log_at_once_lose_nothing() -> None:
    """Threads with counters of their own, all below one another's steps, keep each row on its own axis."""
    from concurrent.futures import ThreadPoolExecutor

    run = open_run(Path.cwd())
    ups.guard(run)

    def train(number: int) -> None:
        for step in range(50):
            run.log({f"thread{number}/loss": 1.0}, step=1000 * (3 - number) + step)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(train, range(3)))
    held = finish(run)
    for number in range(3):
        names = [f"{part}thread{number}/loss" for part in ("", "part2/")]
        assert sum(name in row for row in held.rows for name in names) == 50

"""Loops whose charts are not full as they are, and are with a guard: nothing lost, each point where it belongs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import wandb

from guard.loops import STAGES, full, held_by, stages_of
from held import read_held
from ups.check import Verdict, check_run
from ups.runs import open_run

Script = Callable[..., "subprocess.CompletedProcess[str]"]

STAGED = """
run = wandb.init(mode="offline", id="{name}", settings=wandb.Settings(silent=True, x_disable_stats=True))
{first}
for stage in {stages}:
    run.define_metric(f"training/{{stage}}/step", hidden=True)
    run.define_metric(f"training/{{stage}}/*", step_metric=f"training/{{stage}}/step")
{late}
for stage, steps in {stages}.items():
    for step in range(steps):
        metric, axis = f"training/{{stage}}/loss", f"training/{{stage}}/step"
        {log}
run.finish()
"""
LOOPS = {
    "axis-never-logged": "run.log({metric: 1 / (step + 1)}, step=step)",
    "axis-logged-and-step": "run.log({metric: 1 / (step + 1), axis: step}, step=step)",
    "nothing-but-the-metric": "wandb.log({metric: 1 / (step + 1)})",
    "two-calls-a-step": "run.log({metric: 1 / (step + 1)}, step=step); run.log({metric + '2': 1.0}, step=step)",
}


def staged(loops: dict[str, str], place: str | None = None) -> str:
    """A script with a run for each of the loops, guarded at a place."""
    lines = {"first": "", "late": ""} | ({place: "ups.guard(run)"} if place in ("first", "late") else {})
    runs = [STAGED.format(name=name, stages=STAGES, log=log, **lines) for name, log in loops.items()]
    return "\n".join(["import ups, wandb", "ups.guard()" if place == "top" else "", *runs])


@pytest.mark.parametrize("place", ["top", "first", "late"])
def test_every_step_of_every_stage_is_there(script: Script, place: str) -> None:
    """One line makes a broken loop's charts full: before the run, right after ``wandb.init``, or after definitions."""
    script(staged(LOOPS, place))
    for name in LOOPS:
        (folder,) = Path("wandb").glob(f"offline-run-*-{name}")
        held = read_held(folder)
        assert stages_of(held) == full(), name
        assert [y for _, y in held.stage("operator")] == [1 / (x + 1) for x in range(100)], name
        joined = 2 if "step=" in LOOPS[name] else 0  # a stage's last row is open still, and takes the next one's first
        assert len(held.rows) == sum(STAGES.values()) - joined, name
        assert [row["_step"] for row in held.rows] == sorted({row["_step"] for row in held.rows}), name
        checked = check_run(open_run(folder / f"run-{name}.wandb"))
        assert {chart.verdict for chart in checked.charts} == {Verdict.FULL}, name
        assert checked.findings == (), name


def test_a_script_that_cannot_be_edited(script: Script, tmp_path: Path) -> None:
    """``python -m ups.guard train.py`` gives the script its arguments, its name and full charts, as Python would."""
    source = staged({"alone": LOOPS["axis-never-logged"]})
    source += "import sys; print(sys.argv, __name__, __file__, sys.path[0])\nsys.exit(3)\n"
    train = tmp_path / "train.py"
    train.write_text(source, encoding="utf-8")
    done = script("import runpy; runpy.run_module('ups.guard', run_name='__main__', alter_sys=True)", expect=2)
    assert "usage: ups run" in done.stderr
    train.write_text(source, encoding="utf-8")
    done = script_with_guard(str(train), "--lr", "1")
    assert done.returncode == 3, done.stderr
    assert done.stdout.split("\n")[0] == f"{[str(train), '--lr', '1']} __main__ {train} {tmp_path}"
    assert stages_of(read_held(Path.cwd())) == full()
    Path("probe.py").write_text("import sys; print(__file__, sys.path[0])", encoding="utf-8")
    for arguments in (["probe.py"], ["-m", "probe"]):  # both hold also after os.chdir
        assert script_with_guard(*arguments).stdout == f"{Path('probe.py').absolute()} {Path.cwd()}\n"


def script_with_guard(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``python -m ups.guard …``."""
    import sys

    return subprocess.run(
        [sys.executable, "-m", "ups.guard", *arguments], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_script_that_is_not_there_is_said_in_one_line() -> None:
    """``python -m ups.guard`` of no file is wrong usage: one line, exit code 2."""
    done = script_with_guard("nowhere.py")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere.py does not exist" in done.stderr


def test_the_same_names_again_become_parts() -> None:
    """A stage that logs the names of the one before, from 0 again, is a part of its own, with an axis of its own."""

    def loop(run: wandb.Run) -> None:
        for stage, steps in enumerate((10, 6, 8)):
            for step in range(steps):
                run.log({"loss": float(stage)}, step=step)

    held = held_by(loop)
    assert held.points("loss", "_step") == [(step, 0.0) for step in range(10)]
    assert held.points("part2/loss", "part2/step") == [(step, 1.0) for step in range(6)]
    assert held.points("part3/loss", "part3/step") == [(step, 2.0) for step in range(8)]
    axes = {metric["name"]: metric.get("step_metric") for metric in held.metrics}
    assert axes == {
        "part2/step": None,
        "part2/loss": "part2/step",
        "part3/step": None,
        "part3/loss": "part3/step",
    }


def test_an_axis_in_the_rows_that_starts_again_becomes_a_part() -> None:
    """A metric whose axis begins again continues in a part; one that is new there, or on another axis, stays."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("*", step_metric="global_step")
        run.define_metric("clock/*", step_metric="clock/seconds")
        for fit in range(2):
            for step in range(5):
                row = {"loss": 0.5, "global_step": step, "clock/load": 1.0, "clock/seconds": 5 * fit + step}
                run.log(row | ({"new": 1.0} if fit else {}))

    held = held_by(loop)
    assert [x for x, _ in held.points("loss", "global_step")] == [0, 1, 2, 3, 4]
    assert [x for x, _ in held.points("part2/loss", "part2/global_step")] == [0, 1, 2, 3, 4]
    assert [x for x, _ in held.points("new", "global_step")] == [0, 1, 2, 3, 4]
    assert [x for x, _ in held.points("clock/load", "clock/seconds")] == list(range(10))


def test_an_axis_that_starts_again_all_the_time_is_left_as_it_is() -> None:
    """A batch number within each of many epochs makes nine parts; after that no x is made up."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("loss", step_metric="batch")
        for _ in range(20):
            for batch in range(3):
                run.log({"loss": 0.5, "batch": batch})

    held = held_by(loop)
    assert [x for x, _ in held.points("loss", "batch")] == 12 * [0, 1, 2]
    assert [x for x, _ in held.points("part9/loss", "part9/batch")] == [0, 1, 2]
    assert not any("part10/loss" in row for row in held.rows)


def test_two_loops_that_take_turns_keep_their_own_steps() -> None:
    """A loop with a faster counter beside a slower one: the faster stays as it is, the slower gets its own axis."""

    def loop(run: wandb.Run) -> None:
        for turn in range(8):
            run.log({"env/reward": float(turn)}, step=1000 + turn)
            run.log({"agent/loss": 0.5}, step=turn)
            run.log({"env/length": 7.0}, step=1000 + turn)

    held = held_by(loop)
    assert held.points("env/reward", "_step") == [(1000 + turn, float(turn)) for turn in range(8)]
    assert [x for x, _ in held.points("agent/loss", "agent/step")] == list(range(8))
    assert held.points("env/length", "_step") == [(1000 + turn, 7.0) for turn in range(8)]
    assert {"name": "agent/loss", "step_metric": "agent/step"}.items() <= next(
        metric for metric in held.metrics if metric["name"] == "agent/loss"
    ).items()


def test_a_slower_loop_leaves_a_faster_one_whole() -> None:
    """A line that W&B had when its number is first taken goes on in a part; the faster loop's is not touched."""

    def loop(run: wandb.Run) -> None:
        for turn in range(6):
            run.log({"val/loss": float(turn), "val/new": 2.0} if turn else {"val/loss": 0.0}, step=turn)
            for step in range(5 * turn, 5 * turn + 5):
                run.log({"train/loss": float(step)}, step=step)

    held = held_by(loop)
    assert held.points("train/loss", "_step") == [(step, float(step)) for step in range(30)]
    assert held.points("val/loss", "_step") == [(0, 0.0)]
    assert held.points("part2/val/loss", "part2/val/step") == [(turn, float(turn)) for turn in range(1, 6)]
    assert held.points("part2/val/new", "part2/val/step") == [(turn, 2.0) for turn in range(1, 6)]
    assert not any("part2/step" in row for row in held.rows)


def test_two_steps_on_one_axis_are_two_rows() -> None:
    """A row of a later step does not join one that was moved to its number, when both are given the same axis."""

    def loop(run: wandb.Run) -> None:
        for step in range(8):
            run.log({"train/loss": float(step)}, step=step)
            if step == 4:
                run.log({"val/loss": 0.0, "val/accuracy": 0.0}, step=0)
        run.log({"val/loss": 1.0}, step=1)
        run.log({"val/accuracy": 8.0, "train/loss": 8.0}, step=8)

    held = held_by(loop)
    assert held.points("val/loss", "val/step") == [(0, 0.0), (1, 1.0)]
    assert held.points("val/accuracy", "val/step") == [(0, 0.0), (8, 8.0)]
    train = held.points("train/loss", "_step") + held.points("part2/train/loss", "part2/train/step")
    assert train == [(step, float(step)) for step in range(9)]


def test_a_second_committed_call_of_a_step_leaves_the_loop_its_numbers() -> None:
    """Each of two calls a step is committed, so that W&B drops the second: the first keeps its chart, by its steps."""

    def loop(run: wandb.Run) -> None:
        for step in range(30):
            run.log({"loss": float(step)}, step=step, commit=True)
            run.log({"timing/seconds": 1.0 + step}, step=step, commit=True)

    held = held_by(loop)
    assert held.points("loss", "_step") == [(step, float(step)) for step in range(30)]
    assert held.points("timing/seconds", "timing/step") == [(step, 1.0 + step) for step in range(30)]


def test_an_evaluation_after_a_committed_step_leaves_the_loop_its_numbers() -> None:
    """The evaluation of a step whose row is closed gets an axis of its own; the training is one chart."""

    def loop(run: wandb.Run) -> None:
        for step in range(40):
            run.log({"train/loss": float(step)}, step=step, commit=True)
            if step % 10 == 9:
                run.log({"eval/loss": float(step)}, step=step, commit=True)

    held = held_by(loop)
    assert held.points("train/loss", "_step") == [(step, float(step)) for step in range(40)]
    assert held.points("eval/loss", "eval/step") == [(step, float(step)) for step in (9, 19, 29, 39)]


def test_a_moved_row_is_not_written_over() -> None:
    """A row that was moved is open in W&B, also where the script has closed it: what has its names is another row."""

    def loop(run: wandb.Run) -> None:
        run.log({"a": 0.0}, step=5, commit=True)
        run.log({"b": 1.0}, step=3, commit=True)
        run.log({"b": 2.0})
        run.log({"b": 3.0}, step=3, commit=False)
        run.log({"b": 4.0}, commit=False)
        run.log({"c": 5.0})

    rows = held_by(loop).rows
    values = sorted(value for row in rows for name, value in row.items() if name.rpartition("/")[2] in ("a", "b", "c"))
    assert values == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_one_chart_begins_again_and_the_other_is_full_as_it_is() -> None:
    """Charts on one axis are judged each for itself, and join a part that another began when they repeat."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("*", step_metric="global_step")
        for epoch in range(2):
            for step in range(6):
                run.log({"train/loss": 0.5, "global_step": step})
            run.log({"eval/loss": 0.5, "global_step": 10 * epoch})
        run.log({"eval/loss": 0.5, "global_step": 10})

    held = held_by(loop)
    assert [x for x, _ in held.points("train/loss", "global_step")] == list(range(6))
    assert [x for x, _ in held.points("part2/train/loss", "part2/global_step")] == list(range(6))
    assert [x for x, _ in held.points("eval/loss", "global_step")] == [0, 10]
    assert [x for x, _ in held.points("part2/eval/loss", "part2/global_step")] == [10]


def test_a_counter_beside_an_axis_that_is_never_logged_stands_in_for_it() -> None:
    """One axis is named, another is logged: its values are those of the missing one, where they grow."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("train/*", step_metric="train/global_step")
        run.define_metric("eval/*", step_metric="eval/epoch")
        for step in range(1, 61):
            run.log({"train/loss": 0.5, "train/global_step": step})
            if step % 20 == 0:
                run.log({"eval/reward": float(step), "eval/global_step": step})

    held = held_by(loop)
    assert held.points("eval/reward", "eval/epoch") == [(20, 20.0), (40, 40.0), (60, 60.0)]


def test_a_step_that_is_in_late_rows_is_their_axis() -> None:
    """Stages that log their own step, without a definition, and give it as ``step=`` too."""

    def loop(run: wandb.Run) -> None:
        for stage in ("a", "b"):
            for step in range(5):
                run.log({f"{stage}/loss": float(step), f"{stage}/step": step}, step=step)

    held = held_by(loop)
    assert held.points("a/loss", "_step") == [(step, float(step)) for step in range(5)]
    assert held.points("b/loss", "b/step") == [(step, float(step)) for step in range(5)]
    assert [metric["name"] for metric in held.metrics] == ["b/loss"]


def test_overlapping_globs_are_settled_by_exact_names() -> None:
    """A metric that several globs match is defined by name with the closest, also when the second glob comes later."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("training/op/*", step_metric="training/op/step", summary="min")
        run.log({"training/op/before": 3.0, "training/op/step": 0})
        run.define_metric("*", step_metric="train/global_step")
        for step in range(1, 4):
            run.log({"training/op/before": 2.0, "training/op/loss": 1.0, "training/op/step": step})

    held = held_by(loop)
    exact = {
        metric["name"]: metric for metric in held.metrics if "name" in metric and not metric.get("expanded_from_glob")
    }
    assert {name: metric["step_metric"] for name, metric in exact.items()} == {
        "training/op/before": "training/op/step",
        "training/op/loss": "training/op/step",
    }
    assert all(metric["summary"] == {"min": True} for metric in exact.values())
    assert not any("train/global_step" in row for row in held.rows)


def test_a_metric_logged_more_often_than_its_axis_is_drawn_against_w_and_bs_own() -> None:
    """Without ``step=``, nobody can know where the points in between belong, so the chart is drawn by rows."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("loss", step_metric="epoch")
        for step in range(12):
            run.log({"loss": 1 / (step + 1)} | ({"epoch": step // 4} if step % 4 == 0 else {}))

    held = held_by(loop)
    assert len(held.points("loss", "_step")) == 12
    assert [metric["step_metric"] for metric in held.metrics] == ["epoch", "_step"]


def test_an_axis_logged_more_seldom_than_step_is_filled_up_from_it() -> None:
    """Where the axis was the same as ``step=`` whenever it was logged, ``step=`` says it in between."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("loss", step_metric="global_step")
        for step in range(12):
            run.log({"loss": 1 / (step + 1)} | ({"global_step": step} if step % 4 == 0 else {}), step=step)

    assert [x for x, _ in held_by(loop).points("loss", "global_step")] == list(range(12))


def test_a_row_of_a_later_stage_is_put_together_as_before() -> None:
    """Calls of one ``step=``, and those before with ``commit=False``, make one row in the later stages too."""

    def loop(run: wandb.Run) -> None:
        for stage in ("a", "b"):
            for step in range(4):
                run.log({f"{stage}/loss": 0.5}, step=step)
                run.log({f"{stage}/lr": 0.1}, step=step, commit=False)
                run.log({f"{stage}/norm": 0.1}, step=step, commit=True if stage == "b" else None)

    held = held_by(loop)
    rows = [row for row in held.rows if "b/loss" in row]
    assert [(row["b/step"], "b/lr" in row, "b/norm" in row) for row in rows] == [(x, True, True) for x in range(4)]
    assert len(held.rows) == 7  # the last row of a is open still, and takes the first of b


def test_nested_and_media_values_of_a_later_part_arrive() -> None:
    """Nested dictionaries are drawn part by part as they are named in W&B; a table and a note keep their names."""

    def loop(run: wandb.Run) -> None:
        for fit in range(2):
            for step in range(3):
                row = {
                    "fit": {"loss": 0.5 + fit, "deep": {"er": 1.0}},
                    "table": wandb.Table(["a"], [[fit]]),
                    "note": "x",
                }
                run.log(row, step=step)

    held = held_by(loop)
    assert [x for x, _ in held.points("part2/fit.loss", "part2/step")] == [0, 1, 2]
    assert [x for x, _ in held.points("part2/fit.deep.er", "part2/step")] == [0, 1, 2]
    assert len([row for row in held.rows if "table._type" in row and "note" in row]) == 6


def test_an_axis_in_a_nested_dictionary_keeps_its_values() -> None:
    """Where the axis has a dot in W&B: as it is beside a metric that is changed, in a part, and put into the row."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("fit.loss", step_metric="fit.step")
        run.define_metric("named.loss", step_metric="named.step")
        for step in range(24):
            row = {"fit": {"loss": 0.5, "step": step % 16}, "named": {"loss": 0.5}, "epoch": step % 8}
            run.log(row, step=step % 8)

    held = held_by(loop)
    assert [x for x, _ in held.points("fit.loss", "fit.step")] == list(range(16))
    assert [x for x, _ in held.points("part2/fit.loss", "part2/fit.step")] == list(range(8))
    assert [x for x, _ in held.points("part3/named.loss", "part3/named.step")] == list(range(8))


def test_what_was_changed_is_said_once_a_kind_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Each kind of change is one line on stderr where it first happens, and all are counted in one line at the end."""

    def loop(run: wandb.Run) -> None:
        run.define_metric("a/*", step_metric="a/step")
        for value in (1.0, float("nan"), float("inf"), 2.0):
            run.log({"a/loss": value, "phase": "warm-up"})

    held_by(loop)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ups: ")]
    assert [line.split(":")[1].split()[0] for line in lines] == ["phase", "a/loss", "a/loss", "guard"]
    assert "rows given the axis that they lacked: 4" in lines[-1]
    assert "values NaN or infinite: 2; values that are not numbers: 4" in lines[-1]

"""Check, repair, check: the charts of a repaired run, in its file and on a server after ``wandb sync``."""

from __future__ import annotations

from typing import Any

import pytest

from held import read_held
from repair.repaired import all_repaired, original
from ups.check import Verdict
from wandb_server import SYNCS_IN_PYTHON

STEP = "training/operator/step"
LOSS = "training/operator/loss"
ACCURACY = "training/operator/accuracy"
VAL = "training/operator/val"
Points = list[tuple[Any, Any]]


def same(steps: range, plus: int = 0) -> Points:
    """Points whose value is the step, and something."""
    return [(step, step + plus) for step in steps]


def at(axis: str, **points: Points) -> dict[tuple[str, str], Points]:
    """The points of metrics beside an axis, by metric and axis."""
    return {(f"{axis.rpartition('/')[0]}/{metric}", axis): points[metric] for metric in points}


EXPECTED: dict[str, dict[tuple[str, str], Points]] = {
    "frozen": at(STEP, loss=same(range(5))),
    "empty": at(STEP, loss=same(range(5))),
    "stale": at(STEP, loss=same(range(9))),
    "lagging": at(STEP, loss=same(range(9))),
    "backwards": at(STEP, loss=same(range(5))),
    "ambiguous": at(STEP, loss=same(range(3)), exact=same(range(3))),
    "orphan": at("training/diffusion_residual/step", loss=same(range(3))),
    "in_two_calls": at(STEP, loss=same(range(9)), accuracy=same(range(9), 10), val=[(2, 22), (5, 25), (8, 28)]),
    "never_in_the_same_row": at(STEP, loss=same(range(5, 10))),
    "every_tenth": at(STEP, loss=same(range(95)), accuracy=same(range(95), 100)),
    "lagging_with_two": at(STEP, loss=same(range(3, 12)), accuracy=same(range(3, 12), 20)),
    "epoch_behind_its_batches": {
        ("train/loss", "train/epoch"): [
            (epoch - 1 + (batch + 1) / 4, 10 * epoch + batch) for epoch in range(3) for batch in range(4)
        ]
    },
    "resumed": at(
        STEP, loss=[*same(range(5)), *same(range(5, 8), 100), *same(range(8, 10))], val=[(0, 1000), (5, 1105)]
    ),
    "epoch_in_every_row": {
        ("loss", "global_step"): [*same(range(5), 100), *same(range(5, 8))],
        ("val", "global_step"): [(3, 103), (7, 7)],
        ("epoch", "global_step"): [(step, step // 4) for step in range(8)],
    },
    "beside_a_full_chart": {
        ("train/loss", "train/epoch"): [
            (epoch + batch / 4, 10 * epoch + batch) for epoch in range(3) for batch in range(4)
        ],
        ("train/epoch_loss", "train/epoch"): same(range(3)),
    },
    "defined_late": at(STEP, loss=same(range(6))),
    "two_globs": at(STEP, loss=same(range(4))),
    "misnamed": at("training/diffusion_residual/step", loss=same(range(3, 7))),
    "everything": {
        **at(STEP, loss=same(range(6))),
        **at("training/diffusion_residual/step", loss=[*same(range(3)), *same(range(3, 9), 300)]),
        **at("training/consistency_distill/step", loss=same(range(4))),
    },
    "two_sessions": {**at(STEP, loss=same(range(8))), ("speed", "_step"): [*same(range(5)), (5, 5), (15, 6), (25, 7)]},
}
VERDICTS = {
    "frozen": "frozen",
    "empty": "empty",
    "stale": "stale",
    "lagging": "lagging",
    "backwards": "backwards",
    "ambiguous": "ambiguous-axis",
    "orphan": "orphan",
    "in_two_calls": "frozen",
    "never_in_the_same_row": "empty",
    "every_tenth": "stale",
    "lagging_with_two": "lagging",
    "epoch_behind_its_batches": "lagging",
    "resumed": "backwards",
    "epoch_in_every_row": "backwards",
    "beside_a_full_chart": "stale",
    "defined_late": "frozen",
    "misnamed": "orphan",
    "two_sessions": "backwards",
}
NOT_REPAIRABLE = {Verdict.NOT_NUMERIC, Verdict.NOT_FINITE}


def sync_sends_definitions() -> bool:
    """Whether ``wandb sync`` sends definitions, and what a script adds to its configuration later."""
    sends = any("m" in made.server.raw_config["_wandb"]["value"] for made in all_repaired().values())
    assert sends or SYNCS_IN_PYTHON
    return sends


@pytest.mark.parametrize("name", VERDICTS)
def test_a_broken_chart_is_full_after_the_repair(name: str) -> None:
    """The check finds the verdict in the run, and every chart of the repaired run full."""
    made = all_repaired()[name]
    assert VERDICTS[name] in {chart.verdict for chart in made.before.charts}
    assert {chart.verdict for chart in made.after.charts} == {Verdict.FULL}
    assert made.after.findings == ()


def test_what_is_called_repairable_is_repaired() -> None:
    """No copy has a finding that the check of its run, or of itself, calls repairable."""
    for made in all_repaired().values():
        mended = {(found.code, found.metric) for found in made.before.findings if found.repairable}
        assert mended
        assert not mended & {(found.code, found.metric) for found in made.after.findings}
        assert not any(found.repairable for found in made.after.findings)


def test_what_cannot_be_repaired_is_said_and_all_else_is_full() -> None:
    """Beside text and NaN, every chart of a run with many faults is full, and the plan says why those are not."""
    made = all_repaired()["everything"]
    assert {c.verdict for c in made.after.charts} == {Verdict.FULL, *NOT_REPAIRABLE}
    assert {(left.code, left.metric) for left in made.plan.unrepaired} == {
        ("not-numeric", "phase"),
        ("not-finite", "diverged"),
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_the_server_holds_exactly_the_expected_points(name: str) -> None:
    """After ``wandb sync`` of the copy, each chart on the server has the points that were meant, and no other."""
    made = all_repaired()[name]
    held = {(metric, axis): made.server.points(axis, metric) for metric, axis in EXPECTED[name]}
    assert held == EXPECTED[name]
    steps = [row["_step"] for row in made.server.history]
    assert steps == sorted(set(steps))
    assert (len(steps), made.server.state) == (made.written.rows, "finished")
    assert all(any(not name.startswith("_") for name in row) for row in made.server.history)


@pytest.mark.parametrize("name", EXPECTED)
def test_wandb_reads_the_copy(name: str) -> None:
    """``wandb leet inspect`` reads every row of the copy, with the same points."""
    made = all_repaired()[name]
    held = read_held(made.written.folders[0].parent)
    assert len(held.rows) == made.written.rows
    assert {(metric, axis): held.points(metric, axis) for metric, axis in EXPECTED[name]} == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_server_draws_each_chart_against_its_axis(name: str) -> None:
    """The server is told the axis of each repaired chart by the metric's exact name."""
    made = all_repaired()[name]
    if sync_sends_definitions():
        defined = made.server.raw_config["_wandb"]["value"]["m"]
        axes = {each["1"]: defined[each["5"] - 1].get("1") for each in defined if "1" in each and "5" in each}
    else:
        metrics = [metric for folder in made.written.folders for metric in read_held(folder).metrics]
        axes = {metric["name"]: metric.get("step_metric") for metric in metrics if "name" in metric}
    for change in made.plan.charts:
        if change.axis not in (None, "_step"):
            assert axes[change.metric] == change.axis


def test_results_are_moved_to_the_summary() -> None:
    """A result that was logged once leaves the history, and its value stands in the summary."""
    for name, metric, value in (("single_point", "test/accuracy", 0.9), ("everything", "eval/l2", 0.25)):
        made = all_repaired()[name]
        assert metric not in {chart.metric for chart in made.after.charts}
        assert not any(metric in row for row in made.server.history)
        assert made.server.summary[metric] == value


def test_the_rest_of_the_run_is_carried_over() -> None:
    """Name, configuration, summary, images and artifacts are in the copy, and rows keep their times."""
    made = all_repaired()["everything"]
    before, after = read_held(original("everything")), read_held(made.written.folders[0])
    assert made.server.name == "everything"
    assert not sync_sends_definitions() or made.server.config["net"] == {"width": 32}
    assert made.server.summary["mine"] == 7
    assert after.config == before.config
    assert SYNCS_IN_PYTHON or made.artifacts == ("weights",)  # the tests' server has no artifacts for that one
    assert len([row for row in after.rows if any("picture" in name for name in row)]) == 6
    assert len(list((made.written.folders[0] / "files" / "media").rglob("*.png"))) == 6
    times = {row["_step"]: (row["_timestamp"], row["_runtime"]) for row in before.rows}
    assert all((row["_timestamp"], row["_runtime"]) in times.values() for row in after.rows)


def test_the_summary_has_the_last_step() -> None:
    """The summary shows the axis where the repaired chart ends."""
    assert all_repaired()["frozen"].server.summary[STEP] == 4
    assert all_repaired()["resumed"].server.summary[STEP] == 9


def test_the_original_is_not_written() -> None:
    """No file of any run that was repaired has changed, and none was added."""
    assert all(made.unchanged for made in all_repaired().values())

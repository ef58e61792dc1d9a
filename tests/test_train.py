"""``ups train``, run as a user runs it, and read back by code that shares nothing with UPS."""

from __future__ import annotations

import itertools

import pytest

from held import Held, read_held
from smoke_training import smoke_training

STAGES = {"operator": 60, "diffusion_residual": 50, "consistency_distill": 25, "control": 160}
METRICS = ("loss", "lr", "grad_norm")
HEALTH = ("validation_error", "ema_drift", "samples_per_s", "step_ms")


@pytest.fixture(scope="module")
def trained() -> tuple[Held, str]:
    """What W&B holds of a training with the ``smoke`` preset, and what it printed."""
    run_dir, printed = smoke_training()
    return read_held(run_dir), printed


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("metric", METRICS)
def test_every_step_of_every_stage_is_on_its_own_axis(trained: tuple[Held, str], stage: str, metric: str) -> None:
    """As many rows hold the metric and its step metric as the stage had steps, and the step strictly increases."""
    steps = [x for x, _ in trained[0].stage(stage, metric)]
    assert len(steps) == STAGES[stage]
    assert all(after > before for before, after in itertools.pairwise(steps))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("metric", HEALTH)
def test_the_health_of_a_stage_is_drawn_every_ten_steps_and_at_the_end(
    trained: tuple[Held, str], stage: str, metric: str
) -> None:
    """``training.health_every`` of the preset is 10; the last step is a point too."""
    last = STAGES[stage]
    assert [x for x, _ in trained[0].stage(stage, metric)] == sorted({*range(10, last + 1, 10), last})


def test_the_project_has_a_name_of_its_own(trained: tuple[Held, str]) -> None:
    """Wandb would name it after the program's path."""
    assert {run["project"] for run in trained[0].runs} == {"ups-simulator"}


def test_wandbs_own_step_only_grows(trained: tuple[Held, str]) -> None:
    """``_step`` strictly increases over all stages."""
    steps = [row["_step"] for row in trained[0].rows]
    assert all(after > before for before, after in itertools.pairwise(steps))


def test_every_metric_is_defined_by_exact_name(trained: tuple[Held, str]) -> None:
    """Each stage metric has a definition of its own with its stage's axis; nothing is defined by a glob."""
    held = trained[0]
    assert not any("glob_name" in metric for metric in held.metrics)
    axes = {metric["name"]: metric.get("step_metric") for metric in held.metrics}
    for stage in STAGES:
        for metric in METRICS + HEALTH:
            assert axes[f"training/{stage}/{metric}"] == f"training/{stage}/step"


def test_the_evaluation_is_in_the_summary_and_the_media(trained: tuple[Held, str]) -> None:
    """Scores of the stages and of the control are summary values, beside a table and two images; none is a chart."""
    held, printed = trained
    for model in STAGES:
        assert f"eval/{model}/one_step_l2" in held.summary
    assert not any(name.startswith("eval/") and name.endswith("one_step_l2") for row in held.rows for name in row)
    logged = {name.rpartition(".")[0] for row in held.rows for name in row if name.startswith("eval/")}
    assert {"eval/models", "eval/rollout", "eval/spectra"} <= logged
    assert "28 of 28 charts full" in printed
    assert "control" in printed
    assert "ups show ups-runs/" in printed

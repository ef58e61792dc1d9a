"""The public API as a type checker sees it: `make lint` checks this file, which is never run.

Where a line has `type: ignore`, the checker must find that error: an ignore that is not needed is an error itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import ups
from ups.check import ChartCheck, Finding, RunCheck, Severity, Verdict, check_run, worst

__all__: list[str] = []


def tracks(folder: Path) -> None:
    """A training, its stages, and what they log."""
    with ups.create_wandb_context({"lr": 1e-3}, "r", mode="local", dir=folder, stages=["operator"], tags=["t"]) as ctx:
        assert_type(ctx, ups.WandBContext)
        stage = assert_type(ctx.stage("operator"), ups.Stage)
        stage.log(0, loss=0.5, lr=np.float32(1e-3))
        stage.log(1, {"val/loss": 0.25})
        stage.log(loss=0.5)  # type: ignore[call-arg]
        stage.log("2", loss=0.5)  # type: ignore[arg-type]
        stage.log(3, ["loss", 0.5])  # type: ignore[arg-type]
        ctx.log_training_metrics("operator", {"loss": 0.5}, step=4)
        ctx.log_eval_summary({"l2": 0.5})
        ctx.alert("title", level="WARN")
        ctx.alert("title", level="LOUD")  # type: ignore[arg-type]
        assert_type(ctx.dir, Path)
        assert_type(ctx.run_id, str)
        assert_type(ctx.should_stop, bool)
        assert_type(ctx.url, str | None)
        assert_type(ctx.finish(timeout=10), RunCheck | None)
    ups.create_wandb_context({}, mode="nowhere")  # type: ignore[arg-type]
    with ups.join_wandb_context() as joined:
        assert_type(joined, ups.WandBContext)
    ups.nothing  # type: ignore[attr-defined]  # noqa: B018


def reads(path: Path) -> None:
    """A run, read and checked."""
    run = assert_type(ups.open_run(path), ups.Run)
    series = run.series("training/operator/loss")
    assert_type(series.x, NDArray[Any])
    assert_type(run.rows, int)
    assert_type(run.summary, dict[str, Any])
    check = assert_type(check_run(run), RunCheck)
    assert_type(check.charts, tuple[ChartCheck, ...])
    assert_type(check.charts[0].verdict, Verdict)
    assert_type(check.findings, tuple[Finding, ...])
    assert_type(worst(check.findings), Severity | None)
    ups.open_run(path).series()  # type: ignore[call-arg]


def is_refused() -> None:
    """An error of UPS is one of a tree."""
    try:
        ups.open_run("nowhere")
    except ups.errors.RunFileError as error:
        assert_type(error, ups.errors.RunFileError)

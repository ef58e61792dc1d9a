"""Runs of several sessions, as files: what the copy of each chart holds, and the view as it was meant."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ups.check import Verdict, check_run
from ups.dashboard.repaired_view import meant_run
from ups.repair import plan_repair, write_repair
from ups.repair.meant_axis import Keep
from ups.runfile import Run
from ups.runfile.framing import Writer
from ups.runfile.records import Item, Record
from ups.runs import open_run

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "300")) // 10  # each writes and reads two runs
some = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Session:
    """One file: the step of its first row, its number of rows, which metrics it logs, when it begins, its rewind."""

    first: int
    rows: int
    metrics: tuple[str, ...]
    begins: float
    rewound_to: int | None


@st.composite
def sessions(draw: st.DrawFn) -> list[Session]:
    """One to three sessions of a run: behind each other, from 0 again, from an older step, at once, or rewound."""
    made: list[Session] = []
    reached, ended = -1, 0.0
    for number in range(draw(st.integers(1, 3))):
        rows = draw(st.integers(1, 8))
        metrics = tuple(draw(st.lists(st.sampled_from(["loss", "acc", f"only{number}"]), min_size=1, unique=True)))
        kind = draw(st.sampled_from(["behind", "from zero", "earlier", "beside", "rewound"])) if made else "behind"
        rewound_to = None
        first, begins = reached + 1, ended + 1
        if kind in ("from zero", "beside"):
            first, begins = 0, ended + 1 if kind == "from zero" else ended / 2
        elif kind in ("earlier", "rewound"):
            first = draw(st.integers(0, reached))
            rewound_to = first - 1 if kind == "rewound" else None
        made.append(Session(first, rows, metrics, begins, rewound_to))
        reached, ended = max(reached if rewound_to is None else rewound_to, first + rows - 1), max(ended, begins + rows)
    return made


def write_session(folder: Path, number: int, session: Session) -> None:
    """Write a session's file, as wandb writes one."""
    place = folder / f"offline-run-20261126_00000{number}-r"
    place.mkdir(parents=True)
    with Writer(place / "run-r.wandb") as writer:
        message = Record()
        message.run.run_id = "r"
        message.run.start_time.seconds = number
        if session.rewound_to is not None:
            message.run.branch_point.run, message.run.branch_point.metric = "r", "_step"
            message.run.branch_point.value = session.rewound_to
        records = [message]
        message = Record()
        message.metric.name, message.metric.step_metric = "acc", "epoch"
        message.metric.options.defined = True
        records.append(message)
        for row in range(session.rows):
            message = Record()
            step = session.first + row
            values = {name: 1000 * number + 10 * row + at for at, name in enumerate(session.metrics)}
            times = {"_step": step, "_timestamp": session.begins + row, "_runtime": session.begins + row}
            for name, value in {**values, "epoch": step // 2, **times}.items():
                message.history.item.append(Item(nested_key=[name], value_json=str(value)))
            message.history.step.num = step
            records.append(message)
        message = Record()
        message.exit.exit_code = 0
        records.append(message)
        for at, record in enumerate(records, start=1):
            record.num = at
            writer.write(record.encode())


def points(run: Run, metric: str) -> list[tuple[float, float]]:
    """The points of a chart, in the order of its rows."""
    series = run.series(metric)
    return list(zip(series.x.tolist(), series.y.tolist(), strict=True))


@some
@given(made=sessions(), keep=st.sampled_from(("last", "first", "all")))
def test_sessions_are_read_as_what_they_are(made: list[Session], keep: Keep) -> None:
    """Rewound rows stay away, a full chart is not moved, and no point is lost but where sessions overlap."""
    folder = Path(tempfile.mkdtemp())
    try:
        for number, session in enumerate(made):
            write_session(folder / "wandb", number, session)
        run = open_run(folder / "wandb")
        kept: list[int] = []
        for session in made:
            if session.rewound_to is not None:
                kept = [step for step in kept if step <= session.rewound_to]
            kept += range(session.first, session.first + session.rows)
        steps = run.column("_step")
        assert steps is not None
        assert steps.values.tolist() == kept
        check = check_run(run)
        plan = plan_repair(run, keep=keep, check=check)
        meant = meant_run(plan)
        write_repair(plan, folder / "copy")
        written = open_run(folder / "copy")
        gone = {change.metric: change.gone for change in plan.charts}
        for chart in check.charts:
            metric, before, after = chart.metric, points(run, chart.metric), points(written, chart.metric)
            assert points(meant, metric) == after
            x = [x for x, _ in before]
            if chart.verdict is Verdict.FULL and all(later > earlier for earlier, later in pairwise(x)):
                assert after == before
            assert len(before) - len(after) == gone.get(metric, 0)
            assert keep != "all" or len(after) == len(before)
            assert {y for _, y in after} <= {y for _, y in before}
        assert meant.rows == written.rows
        steps = written.column("_step")
        assert steps is not None
        assert (np.diff(steps.values) > 0).all()
    finally:
        shutil.rmtree(folder)

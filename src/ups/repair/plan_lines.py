"""A plan as lines that a person reads before anything is written."""

from collections.abc import Iterator
from itertools import groupby

from ups.repair.plan import ChartChange, Plan
from ups.text import counted

__all__ = ["plan_lines"]


def plan_lines(plan: Plan) -> list[str]:
    """Describe the changes of each chart, the points that come back or are lost, and the findings that stay."""
    run = plan.run
    lines = [f"{run.name or run.run_id or run.path.name} ({run.run_id}), {run.rows:,} rows"]
    if plan.changes_nothing:
        lines.append("  nothing to repair")
    width = max((len(change.metric) for change in plan.charts), default=0)
    for what, group in groupby(sorted(plan.charts, key=lambda change: change.what), lambda change: change.what):
        lines += [f"  {change.metric.ljust(width)}  {_counts(change)}" for change in group]
        lines += [f"    {sentence}" for sentence in what]
    lines += [f"  {line}" for line in _about_run(plan)]
    if plan.unrepaired:
        lines.append("not repaired:")
        lines += [f"  {left.code}: {left.why}" for left in plan.unrepaired]
    return lines


def _counts(change: ChartChange) -> str:
    if change.axis is None:
        return f"{change.verdict} -> summary"
    left_out = f", {change.gone:,} left out" if change.gone else ""
    return f"{change.verdict}: {change.before:,} -> {counted(change.after, 'point')}{left_out}"


def _about_run(plan: Plan) -> Iterator[str]:
    if plan.run.damage:
        size = sum(damage.length for _, damage in plan.run.damage)
        places = counted(len(plan.run.damage), "place")
        yield f"damaged-file: {size:,} bytes in {places} are left out, every intact record is kept once"
    if plan.run.nameless:
        yield f"damaged-file: {counted(plan.run.nameless, 'value')} without a readable name are left out"
    if plan.torn:
        yield f"torn end: the last {plan.torn:,} bytes, of an incomplete record, are left out"
    if plan.rows_back and plan.missing is not None:
        yield f"lost-rows: {counted(plan.rows_back, 'row')} come back from the journal in {plan.missing.folder}"
    if plan.renumbered:
        yield f"W&B's own step changes in {counted(plan.renumbered, 'row')} of the copy, since steps must grow"
    if not plan.changes_nothing:
        yield f"points in all: {plan.points_back:,} come back, {plan.points_gone:,} are left out"
        yield f"the copy is run {plan.run_id}" + (
            ", the same as before: a sync adds its rows to those on the server"
            if plan.run_id == plan.run.run_id
            else ""
        )

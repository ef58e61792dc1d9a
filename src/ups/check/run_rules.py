"""The rules about a run as a whole: one pure function each, from the facts to a finding or None."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

from ups.check.findings import Finding, severity_of
from ups.runfile import Damage, LostCall, LostRows

__all__ = ["damaged_file", "lost_rows", "unfinished"]

_PLACES = 3  # how many damaged places are named


def lost_rows(lost: LostRows) -> Finding | None:
    """wandb dropped calls of ``log()``, by the run's own log."""
    if not lost.count:
        return None
    where = (
        f", the first at step={lost.calls[0].step} when the run stood at {lost.calls[0].current}" if lost.calls else ""
    )
    calls = "1 call" if lost.count == 1 else f"{lost.count:,} calls"
    cause, fix = _why_lost(lost.calls)
    return _finding("lost-rows", lost.count, f"wandb dropped {calls} of log(){where}", cause, fix)


def _why_lost(calls: Sequence[LostCall]) -> tuple[str, str]:
    """The cause that the steps of the lost calls show, and the fix for it."""
    steps, currents = [call.step for call in calls], [call.current for call in calls]
    own_axis = 'run.log({"<stage>/loss": value, "<stage>/step": step})  # without step='
    if not calls:
        return "step= was below W&B's own step, and must never be", own_axis
    given = f"step={steps[0]}" if len(set(steps)) == 1 else f"step= from {min(steps)} to {max(steps)}"
    stood = f"{currents[0]}" if len(set(currents)) == 1 else f"{min(currents)} to {max(currents)}"
    if max(steps) < 0:
        return f"{given} was given, and W&B counts from 0", "run.log(row, step=0)  # or without step="
    if all(current == step + 1 for step, current in calls):
        return (
            f"{given} was given when W&B had moved on by one: the row was closed, by commit=True or by a call without"
            " step=, or another call gave the next step",
            own_axis,
        )
    blocks = [list(block) for _, block in groupby(calls, key=lambda call: call.current)]
    firsts = {block[0].step for block in blocks}
    if len(calls) > 1 and len(firsts) == 1 and all(_count_up(block) for block in blocks):
        times = "" if len(blocks) == 1 else f", {len(blocks)} times"
        return f"step= counted from {firsts.pop()} again{times}, while W&B stood at {stood}", own_axis
    pairs = [f"{step} while W&B stood at {current}" for step, current in (calls[0], calls[-1])]
    examples = " and ".join(dict.fromkeys(pairs))
    if len(blocks) == 1:
        return f"step= went back, to {examples}", own_axis
    if all(before <= after for before, after in pairwise(steps)):
        return f"step= came from two counters, and W&B counts with the faster: one gave {examples}", own_axis
    return f"step= came from a counter that goes back: {examples}", own_axis


def _count_up(block: Sequence[LostCall]) -> bool:
    """True where steps grow from call to call, or begin again at the first: stages of which none came through."""
    first = block[0].step
    return all(after.step >= before.step or after.step == first for before, after in pairwise(block))


def damaged_file(
    files: Sequence[Path], damage: Sequence[tuple[Path, Damage]], nameless: int, rows: int
) -> Finding | None:
    """Parts of a file cannot be read, are gone, or stand there twice; or values lack a name that can be read."""
    places = [f"{_place(each)} of {path.name}" for path, each in damage[:_PLACES]]
    if len(damage) > _PLACES:
        places.append(f"and {len(damage) - _PLACES:,} more places")
    if nameless:
        places.append(f"{nameless:,} value{'s have' if nameless > 1 else ' has'} no name that can be read")
    if not places:
        return None
    file = damage[0][0] if damage else files[0]
    return _finding(
        "damaged-file",
        len(damage) + nameless,
        f"{'; '.join(places)}; {rows:,} rows were recovered",
        "the disk, a copy or a crash changed the file after it was written",
        f"sha256sum {file.name}  # compare with the file where it was written, and fetch it again",
        repairable=True,
    )


def unfinished(finished: bool, torn: int) -> Finding | None:
    """The run has no end record; ``torn`` is how many bytes of an incomplete record its file ends with.

    ``wandb sync`` takes a file that ends between two records as it is.
    """
    if finished:
        return None
    return _finding(
        "unfinished",
        1,
        "the run has no end record" + (f", and its file ends {torn:,} bytes into a record" if torn else ""),
        "it was killed, or it is still running",
        "run.finish()  # at the end, also when training fails: 'with wandb.init() as run:' does it",
        repairable=bool(torn),
    )


def _place(damage: Damage) -> str:
    if damage.repeated:
        return f"{damage.repeated:,} records stand twice, the copies in {damage.length:,} bytes at {damage.offset:,}"
    gone = f"{damage.missing:,} record{'s' * (damage.missing != 1)} gone"
    if not damage.length:
        return f"{gone} at byte {damage.offset:,}"
    unreadable = f"{damage.length:,} bytes at {damage.offset:,} cannot be read"
    return f"{unreadable} ({gone})" if damage.missing else unreadable


def _finding(code: str, count: int, message: str, cause: str, fix: str, *, repairable: bool = False) -> Finding:
    return Finding(code, severity_of(code), None, message, cause, fix, repairable, count)

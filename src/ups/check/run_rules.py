"""The rules about a run as a whole: one pure function each, from the facts to a finding or None."""

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

from ups.check.findings import Finding
from ups.runfile import Damage, LostCall, LostRows
from ups.text import counted

__all__ = ["damaged_file", "lost_rows", "unfinished"]

_PLACES = 3  # damaged places in a message


def lost_rows(lost: LostRows) -> Finding | None:
    """Calls of ``log()`` that wandb dropped, by the run's own log."""
    if not lost.count:
        return None
    where = ""
    if lost.calls:
        where = f", the first at step={lost.calls[0].step} when W&B's own step was {lost.calls[0].current}"
    message = f"wandb dropped {counted(lost.count, 'call')} of log(){where}"
    return Finding.of("lost-rows", None, lost.count, message, *_why_lost(lost.calls))


def _why_lost(calls: Sequence[LostCall]) -> tuple[str, str]:
    """Return the cause that the steps of the lost calls show, and the fix."""
    steps, currents = [call.step for call in calls], [call.current for call in calls]
    own_axis = 'run.log({"<stage>/loss": value, "<stage>/step": step})  # without step='
    if not calls:
        return "step= was below W&B's own step, and W&B drops such a call", own_axis
    given = f"step={steps[0]}" if len(set(steps)) == 1 else f"step= from {min(steps)} to {max(steps)}"
    stood = f"{currents[0]}" if len(set(currents)) == 1 else f"{min(currents)} to {max(currents)}"
    if max(steps) < 0:
        return f"log() was given {given}, but W&B counts from 0", "run.log(row, step=0)  # or without step="
    if all(current == step + 1 for step, current in calls):
        return (
            f"log() was given {given} when W&B's own step was one higher: commit=True or a call without step= had"
            " closed the row, or another call had given the next step",
            own_axis,
        )
    blocks = [list(block) for _, block in groupby(calls, key=lambda call: call.current)]
    firsts = {block[0].step for block in blocks}
    if len(calls) > 1 and len(firsts) == 1 and all(_count_up(block) for block in blocks):
        times = "" if len(blocks) == 1 else f", {len(blocks)} times"
        return f"step= counted from {firsts.pop()} again{times}, while W&B's own step was {stood}", own_axis
    pairs = [f"{step} while W&B's own step was {current}" for step, current in (calls[0], calls[-1])]
    examples = " and ".join(dict.fromkeys(pairs))
    if len(blocks) == 1:
        return f"step= went back, to {examples}", own_axis
    if all(before <= after for before, after in pairwise(steps)):
        return f"step= came from two counters, and W&B follows the faster one: the other gave {examples}", own_axis
    return f"step= came from a counter that goes back: {examples}", own_axis


def _count_up(block: Sequence[LostCall]) -> bool:
    """True where steps grow from call to call, or begin again at the first, as for stages that lost every row."""
    first = block[0].step
    return all(after.step >= before.step or after.step == first for before, after in pairwise(block))


def damaged_file(
    files: Sequence[Path], damage: Sequence[tuple[Path, Damage]], nameless: int, rows: int
) -> Finding | None:
    """Parts of a file that are unreadable, missing or repeated, and values whose names are unreadable."""
    places = [f"{_place(each)} of {path.name}" for path, each in damage[:_PLACES]]
    if len(damage) > _PLACES:
        places.append(counted(len(damage) - _PLACES, "more place"))
    if nameless:
        places.append(f"the names of {counted(nameless, 'value')} cannot be read")
    if not places:
        return None
    file = damage[0][0] if damage else files[0]
    return Finding.of(
        "damaged-file",
        None,
        len(damage) + nameless,
        f"{'; '.join(places)}; {counted(rows, 'row')} recovered",
        "the disk, a copy or a crash changed the file after it was written",
        f"sha256sum {file.name}  # compare with the original, and copy it again if they differ",
        repairable=True,
    )


def unfinished(finished: bool, torn: int) -> Finding | None:
    """A run without an end record, whose file ends with ``torn`` bytes of an incomplete record.

    ``wandb sync`` accepts a file that ends between two records.
    """
    if finished:
        return None
    return Finding.of(
        "unfinished",
        None,
        1,
        "the run has no end record" + (f", and its file ends {torn:,} bytes into a record" if torn else ""),
        "it was killed, or it is still running",
        "run.finish()  # at the end, also when training fails: 'with wandb.init() as run:' does this",
        repairable=bool(torn),
    )


def _place(damage: Damage) -> str:
    if damage.repeated:
        copies = counted(damage.repeated, "record")
        return f"copies of {copies} in {damage.length:,} bytes at byte {damage.offset:,}"
    gone = f"{counted(damage.missing, 'record')} missing"
    if not damage.length:
        return f"{gone} at byte {damage.offset:,}"
    unreadable = f"{counted(damage.length, 'unreadable byte')} at byte {damage.offset:,}"
    return f"{unreadable} ({gone})" if damage.missing else unreadable

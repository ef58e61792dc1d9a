"""The rules about a run as a whole: one pure function each, from the facts to a finding or None."""

from collections.abc import Sequence
from pathlib import Path

from ups.check.findings import Finding, severity_of
from ups.runfile import Damage, LostRows

__all__ = ["damaged_file", "lost_rows", "unfinished"]

_PLACES = 3  # how many damaged places are named


def lost_rows(lost: LostRows) -> Finding | None:
    """wandb dropped calls of ``log()``, by the run's own log."""
    if not lost.count:
        return None
    where = f", the first at step={lost.step} when the run stood at {lost.current}" if lost.step is not None else ""
    calls = "1 call" if lost.count == 1 else f"{lost.count:,} calls"
    return _finding(
        "lost-rows",
        lost.count,
        f"wandb dropped {calls} of log(){where}",
        "step= must never decrease: each stage counted from 0 again",
        'run.log({"training/<stage>/loss": value, "training/<stage>/step": step})  # without step=',
    )


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

"""A run as the runs page shows it, from what is cheap to read: its manifest, its status, the ends of its files."""

import contextlib
import json
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from ups.check import RunCheck, Verdict
from ups.dashboard.encoding import as_whole
from ups.errors import RunDirectoryError, UPSError
from ups.journal.run_directory import RunDirectory
from ups.journal.status import read_status
from ups.runfile import Run
from ups.runfile.chunks import BLOCK
from ups.runfile.framing import FrameReader
from ups.runfile.records import Exit, Kind, find_payloads, parse
from ups.runfile.run_record import run_info
from ups.runs import FoundRun
from ups.runs.discovery import segment_folder_time
from ups.runs.file_source import empty_file

__all__ = ["Card", "Signature", "StageCard", "card_of", "judged_card", "signature_of", "unreadable_card"]

Signature = tuple[tuple[str, int, int], ...]

_TAIL = 4096  # bytes of a journal that are looked through for its end
_HEAD = 4 * BLOCK  # bytes of a ``.wandb`` file that are looked through for the run's id and name
_SILENCE = 60.0  # seconds after which a run whose writer cannot be seen counts as gone
_LOOK_AGAIN = 5.0  # seconds


@dataclass(frozen=True)
class StageCard:
    """A stage: its rows, the last step, and how many it will have; None where that is not known.

    A step that a browser would round is text.
    """

    name: str
    rows: int | None = None
    last_step: float | str | None = None
    steps_total: int | None = None


@dataclass(frozen=True)
class Card:
    """A run as the runs page shows it. Times are seconds since 1970; ``rows`` is None until it is known.

    Attributes:
        state: ``running``, ``finished``, ``failed``, ``crashed`` (its process is gone without an end) or
            ``unreadable``, for which ``message`` has the reason.
        health: Charts that are full, charts, and the worst severity; None before it was judged.
    """

    key: str
    name: str
    run_id: str
    path: str
    state: str
    project: str = ""
    created: float | None = None
    updated: float | None = None
    rows: int | None = None
    stages: tuple[StageCard, ...] = ()
    tags: tuple[str, ...] = ()
    health: dict[str, Any] | None = None
    message: str | None = None

    def as_data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**self.__dict__, "stages": [stage.__dict__ for stage in self.stages]}


def signature_of(found: FoundRun) -> Signature:
    """Sizes and times of the files that a card is made from. They change when the run does."""
    files: list[Path] = []
    if found.directory is not None:
        directory = RunDirectory(found.directory)
        files = [directory.manifest_file, directory.status_file]
        with contextlib.suppress(OSError):
            files += sorted(path for path in directory.journal.iterdir() if path.suffix == ".jsonl")
    else:
        files = list(found.files)
    signature = []
    for file in files:
        with contextlib.suppress(OSError):
            stat = file.stat()
            signature.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(signature)


def card_of(found: FoundRun, signature: Signature | None = None) -> Card:
    """Make the card of a run, without opening it. The card of a run that cannot be read has the reason."""
    try:
        return (
            _card_of_directory(found, signature or signature_of(found))
            if found.directory is not None
            else _card_of_files(found)
        )
    except Exception as error:  # noqa: BLE001 - a run is written by anyone; the others are still to be shown
        return unreadable_card(Card(found.key, found.path.name, "", str(found.path), ""), error)


def unreadable_card(card: Card, error: Exception) -> Card:
    """Make the card of a run that cannot be read, with the reason."""
    if isinstance(error, UPSError | OSError):
        message = str(error)
    else:
        message = f"{card.path} cannot be read ({type(error).__name__}: {error}). Please report it, with the file"
    return replace(card, state="unreadable", message=message, health=None)


def judged_card(card: Card, run: Run, check: RunCheck) -> Card:
    """Add to a card what is known once a run was read and checked."""
    by_stage: dict[str, str] = {}
    for chart in check.charts:
        if chart.stage is not None:
            by_stage.setdefault(chart.stage, chart.axis)
    stages = []
    for name in check.stages:
        axis = run.column(by_stage[name]) if name in by_stage else None
        rows, last = (0, None) if axis is None else (len(axis.rows), axis.values[-1].item())
        stages.append(StageCard(name, rows, as_whole(last), _steps_total(run.config, name)))
    full = sum(chart.verdict is Verdict.FULL for chart in check.charts)
    worst = check.worst
    return replace(
        card,
        rows=run.rows,
        stages=tuple(stages),
        health={"full": full, "charts": len(check.charts), "worst": None if worst is None else str(worst)},
    )


def _card_of_directory(found: FoundRun, signature: Signature) -> Card:
    assert found.directory is not None
    directory = RunDirectory.open(found.directory)
    manifest = directory.read_manifest()
    status = read_status(directory)
    changed = [time_ns for _, _, time_ns in signature]
    return Card(
        key=found.key,
        name=manifest.name or manifest.run_id,
        run_id=manifest.run_id,
        path=str(found.path),
        state=_state_of_directory(directory, found),
        project=(status.project if status is not None else None) or manifest.project or "",
        created=float(manifest.created),
        updated=max(changed) / 1e9 if changed else float(manifest.created),
        rows=status.rows if status is not None and status.state == "finished" else None,
        stages=tuple(StageCard(name, steps_total=_steps_total(manifest.config, name)) for name in manifest.stages),
        tags=manifest.tags,
    )


def _state_of_directory(directory: RunDirectory, found: FoundRun) -> str:
    """The state of a UPS run: running, or how it ended."""
    processes = directory.processes() if directory.journal.is_dir() else []
    if not processes:
        if not found.files:
            raise RunDirectoryError(f"{directory.path} holds neither a journal nor a .wandb file")
        return _state_of_files(found.files)
    if directory.living():
        return "running"
    code = _exit_code_in(directory.journal_of((directory.owners() or processes)[-1]))
    return "crashed" if code is None else "finished" if code == 0 else "failed"


def _exit_code_in(journal: Path) -> int | None:
    """The exit code that a process wrote at its end; None if it wrote none."""
    with journal.open("rb") as file:
        file.seek(max(0, journal.stat().st_size - _TAIL))
        lines = file.read().splitlines()
    for line in reversed(lines):
        if b'"end"' in line:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return int(json.loads(line)["end"]["exit_code"])
    return None


def _card_of_files(found: FoundRun) -> Card:
    files = found.files
    info = run_info(files[0], end=_HEAD)
    stamp = segment_folder_time(files[0].parent.name)
    created = info.started if info is not None and info.started else None
    if created is None and stamp is not None:
        with contextlib.suppress(ValueError):  # digits that are not a time
            created = datetime.strptime(stamp, "%Y%m%d_%H%M%S").timestamp()
    stat = files[-1].stat()
    if not stat.st_size:
        raise empty_file(files[-1])
    run_id = (info.run_id if info is not None else "") or files[0].stem.removeprefix("run-")
    return Card(
        key=found.key,
        name=(info.name if info is not None else "") or run_id,
        run_id=run_id,
        path=str(found.path),
        state=_state_of_files(files),
        project=info.project if info is not None else "",
        created=created or stat.st_mtime,
        updated=stat.st_mtime,
        tags=info.tags if info is not None else (),
    )


def _state_of_files(files: tuple[Path, ...]) -> str:
    """The state of a run that UPS did not make: running, or how it ended."""
    last = files[-1]
    size = last.stat().st_size
    for batch in FrameReader(last, start=max(0, size - size % BLOCK - BLOCK)):
        kinds = find_payloads(batch).kind.tolist()
        for kind, record in zip(kinds, batch.records(), strict=True):
            if kind == Kind.EXIT and isinstance(end := parse(record), Exit):
                return "finished" if end.exit_code == 0 else "failed"
    if last.resolve() in _files_being_written() or time.time() - last.stat().st_mtime < _SILENCE:
        return "running"
    return "crashed"


_seen: tuple[float, frozenset[Path]] = (-_LOOK_AGAIN, frozenset())


def _files_being_written() -> frozenset[Path]:
    """The files that wandb's own process holds open, on this machine, as far as this user may see."""
    global _seen
    if time.monotonic() - _seen[0] > _LOOK_AGAIN:
        held: set[Path] = set()
        for process in psutil.process_iter(["name"]):
            if "wandb-core" in (process.info["name"] or ""):
                with contextlib.suppress(psutil.Error, OSError):
                    held.update(Path(file.path) for file in process.open_files() if file.path.endswith(".wandb"))
        _seen = (time.monotonic(), frozenset(held))
    return _seen[1]


def _steps_total(config: dict[str, Any], stage: str) -> int | None:
    """The number of steps that a stage will have, where the configuration has it as ``stages.NAME.steps``."""
    inner: Any = config
    for key in ("stages", stage, "steps"):
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, int) and not isinstance(inner, bool) else None

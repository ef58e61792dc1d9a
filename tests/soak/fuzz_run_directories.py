"""Run directories changed at random, as damage or a stranger would, and read by every command that reads one."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal
from unittest.mock import patch

import click
from click.testing import CliRunner

import ups
from ups.cli import check, export, repair, report
from ups.dashboard.opened_run import open_path
from ups.dashboard.run_card import card_of
from ups.delivery import delivery
from ups.errors import UPSError
from ups.journal.reader import JournalReader
from ups.journal.row_rule import Row
from ups.journal.run_directory import RunDirectory
from ups.runs.discovery import find_below

__all__ = ["READERS", "Changed", "change", "make_originals", "read"]

_LONGEST = 20  # seconds that one command may take

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**400,
    1e308,
    float("nan"),
    "",
    "\x1b]0;title\x07",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    "x" * 10_000,
    [],
    {},
    [[[[1]]]],
    {"a": {"b": {"c": 1}}},
    [0] * 5000,
)


def make_originals(folder: Path) -> list[Path]:
    """One run that was delivered offline, and one that waits in its journals, with a record of every kind."""
    originals = []
    modes: dict[str, Literal["offline", "local"]] = {"delivered": "offline", "waiting": "local"}
    for run_id, mode in modes.items():
        with ups.create_wandb_context(
            {"lr": 1e-3, "model": {"width": 8}}, run_id, mode=mode, stages=["a", "b"], tags=["t"], dir=folder
        ) as ctx:
            print("printed")
            for stage, steps in (("a", 60), ("b", 30)):
                for step in range(steps):
                    ctx.stage(stage).log(step, loss=1 / (step + 1), n=step)
            ctx.log_values({"free": 1.0})
            ctx.log_eval_summary({"l2": 1e-3, "word": "good"})
            ctx.update_config({"found": [1, {"x": None}]})
            ctx.add_tags("late")
            ctx.alert("title", "text")
            ctx.log_table("table", ["a", "b"], [[1, "x"], [2, None]])
            ctx.log_table("placed", ["a"], [[1]], stage="b", step=30)
            file = folder / "file.txt"
            file.write_text("a file")
            ctx.save_file(file)
            ctx.log_artifact(file, "artifact")
        originals.append(folder / run_id)
    return originals


class TooLong(BaseException):
    """A command hangs. No handler of errors takes it for one."""


class Changed:
    """A changed copy of a run's directory.

    Attributes:
        path: The copy.
        intact: Per journal that is a regular file still, the lines of the original that it has whole, in order.
        told: How it was changed, for a message.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.intact: dict[Path, list[bytes]] = {}
        self.told: list[str] = []


def change(original: Path, target: Path, chance: random.Random) -> Changed:
    """Copy ``original`` to ``target`` with some of its files changed."""
    shutil.copytree(original, target, symlinks=True)
    changed = Changed(target)
    files = sorted(path for path in target.rglob("*") if path.is_file() and not path.is_symlink())
    weights = [6 if path.suffix in (".jsonl", ".json", ".wandb") else 1 for path in files]
    for path in {*chance.choices(files, weights, k=chance.choice((1, 1, 2, 4)))}:
        how = chance.choice(_OF_JSON if path.suffix in (".json", ".jsonl") else _OF_BYTES)
        changed.told.append(f"{how.__name__.strip('_')} {path.relative_to(target)}")
        how(path, chance)
    if chance.random() < 0.05:
        folder = chance.choice([each for each in target.iterdir() if each.is_dir()])
        changed.told.append(f"folder {folder.name}")
        chance.choice((shutil.rmtree, _make_link_of_folder))(folder)
    before = {path.name: path.read_bytes().splitlines(keepends=True) for path in (original / "journal").glob("*.jsonl")}
    with contextlib.suppress(OSError):
        for path in (target / "journal").glob("*.jsonl"):
            if path.is_file() and not path.is_symlink():
                whole = set(path.read_bytes().splitlines(keepends=True))
                changed.intact[path] = [line for line in before.get(path.name, []) if line in whole]
    return changed


def read(changed: Changed, reader: str, folder: Path) -> str | None:
    """Read a changed run in one way; None where all was well, else what was not."""

    def too_long(number: int, frame: object) -> None:
        raise TooLong(f"{reader} took more than {_LONGEST} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_LONGEST)
    try:
        READERS[reader](changed, folder)
    except UPSError:
        return None
    except (Exception, TooLong) as error:  # noqa: BLE001 - whatever it is, it is the finding
        return f"{reader} of a run with {', '.join(changed.told)}: {''.join(traceback.format_exception(error))[-3000:]}"
    finally:
        signal.alarm(0)
    return None


# ---------------------------------------------------------------------- what is changed


def _flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 50))):
        if content:
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content) + 1)])


def _zero(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    at = chance.randrange(len(content) + 1)
    length = chance.choice((1, 100, 4096))
    path.write_bytes(content[:at] + bytes(length) + content[at + chance.choice((0, length)) :])


def _insert(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    at = chance.randrange(len(content) + 1)
    path.write_bytes(content[:at] + chance.randbytes(chance.choice((1, 30, 3000))) + content[at:])


def _grow(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.truncate(path.stat().st_size + chance.choice((1000, 10**6, 2 * 10**7)))


def _remove(path: Path, chance: random.Random) -> None:
    path.unlink()


def _make_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _make_fifo(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_link(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.symlink_to(chance.choice(("/etc/passwd", "/dev/zero", path.name, "nowhere", "../run.json")))


def _make_link_of_folder(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to("/etc")


def _forbid(path: Path, chance: random.Random) -> None:
    path.chmod(0)


def _shuffle(path: Path, chance: random.Random) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(chance.choice((1, 5))):
        if lines:
            line = lines.pop(chance.randrange(len(lines)))
            lines[chance.randrange(len(lines) + 1) : 0] = [line] * chance.choice((0, 1, 2))
    path.write_bytes(b"".join(lines))


def _put_odd(path: Path, chance: random.Random) -> None:
    """Replace values of JSON by ones that nobody writes, or give them another name."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True) if path.suffix == ".jsonl" else [content]
    for _ in range(chance.choice((1, 1, 4))):
        index = chance.randrange(len(lines)) if lines else 0
        with contextlib.suppress(ValueError, IndexError, RecursionError):
            value = json.loads(lines[index])
            holders = [each for each in _holders(value) if each]
            if holders:
                holder = chance.choice(holders)
                key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
                if isinstance(holder, dict) and chance.random() < 0.2:
                    holder[str(chance.choice(ODD))[:300]] = holder.pop(key)
                else:
                    holder[key] = chance.choice(ODD)
            text = json.dumps(value)
            if chance.random() < 0.1:
                text = text.replace("1", "[" * 3000 + "]" * 3000, 1)
            lines[index] = text.encode() + (b"\n" if path.suffix == ".jsonl" else b"")
    path.write_bytes(b"".join(lines))


def _holders(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for each in value.values() if isinstance(value, dict) else value:
            yield from _holders(each)


_OF_BYTES: tuple[Callable[[Path, random.Random], None], ...] = (
    _flip,
    _flip,
    _cut,
    _zero,
    _insert,
    _grow,
    _remove,
    _make_folder,
    _make_fifo,
    _make_link,
    _forbid,
)
_OF_JSON = (*_OF_BYTES, _shuffle, _put_odd, _put_odd, _put_odd, _put_odd, _put_odd)


# ---------------------------------------------------------------------- how it is read


def _command(command: click.Command, *arguments: object) -> None:
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception


def _deliver(changed: Changed, folder: Path) -> None:
    """Deliver into a session that takes everything: what comes before wandb is what is tried here."""
    taken = _Taken()
    with (
        patch.object(delivery, "Session", taken.session),
        patch.object(delivery, "last_step_held", lambda directory: taken.last),
        patch.object(delivery, "PATIENCE", 0.0),
        patch.object(delivery, "_RETRY", (0.0,)),
    ):
        delivery.Delivery(RunDirectory.open(changed.path), "offline").run()
    for path, lines in changed.intact.items():
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_mode & 0o400:
                _all_read(path, lines)


def _all_read(path: Path, lines: list[bytes]) -> None:
    """Every line that is as it was written is read as it was written."""
    held = [json.dumps(record, sort_keys=True) for record, _ in JournalReader(path).read()]
    missing = {json.dumps(json.loads(line), sort_keys=True) for line in lines} - set(held)
    assert not missing, f"{len(missing)} intact records of {path.name} are not read: {sorted(missing)[:2]}"


class _Taken:
    """What a delivery hands over; in place of wandb, which a fuzzer cannot start thousands of times."""

    def __init__(self) -> None:
        self.last = -1

    def session(self, *_: object, **__: object) -> _Taken:
        return self

    url = project = entity = name = None
    next_step, resumed, backend, stop_requested = 0, False, (), False
    lacking: ClassVar[dict[str, str]] = {}

    def log(self, row: Row, number: int) -> None:
        json.dumps(row.values).encode()
        assert number > self.last, "W&B refuses a step that it has"
        self.last = number

    def log_table(self, name: str, path: Path, place: dict[str, int], number: int) -> None:
        assert path.is_relative_to(path.parents[2])
        self.last = number

    def log_images(self, name: str, images: list[tuple[Path, str | None]], place: dict[str, int], number: int) -> None:
        assert all(path.is_relative_to(path.parents[2]) for path, _ in images)
        self.last = number

    def finish(self, exit_code: int) -> None:
        assert isinstance(exit_code, int)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **named: None


def _show(changed: Changed, folder: Path) -> None:
    for found in find_below([changed.path]):
        card_of(found).as_data()
    opened = open_path(changed.path)
    try:
        opened.read_all()
        opened.publish()
        opened.judge()
        data = opened.as_data()
        json.dumps(data, allow_nan=False)
        for kind, get in (("tables", opened.table), ("images", opened.image)):
            for medium in data[kind]:
                with contextlib.suppress(UPSError):
                    get(str(medium["id"]))
    finally:
        opened.close()


READERS: dict[str, Callable[[Changed, Path], None]] = {
    "check": lambda changed, folder: _command(check.command, changed.path, "--format", "json"),
    "deliver": _deliver,
    "export": lambda changed, folder: _command(export.command, changed.path, "--to", "csv", "-o", folder / "run.csv"),
    "report": lambda changed, folder: _command(report.command, changed.path, "-o", folder / "run.html"),
    "repair": lambda changed, folder: _command(repair.command, changed.path, "-o", folder / "repaired"),
    "show": _show,
}

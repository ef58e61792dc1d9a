"""A session that keeps what it is given, in place of W&B: for tests of what delivery hands over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ups.delivery.session import Session
from ups.delivery.wandb_errors import SessionLost
from ups.journal.row_rule import Row

__all__ = ["RecordedSession"]


class RecordedSession(Session):
    """Records what it is given, until it is lost.

    Args:
        lost_after: The number of rows that it takes before it is lost; None if it never is.

    Attributes:
        rows: Each row's number and values, or the name of a table or an image.
        once: What was given under no number: alerts, files, artifacts and console lines.
        summary: The summary; values at paths by their names, joined by dots.
        made: The name of each definition.
        files: The name of each file of the run's own.
    """

    def __init__(self, lost_after: int | None = None) -> None:
        self.rows: list[tuple[int, Any]] = []
        self.once: list[Any] = []
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.tags: list[str] = []
        self.made: list[str] = []
        self.files: list[str] = []
        self._lost_after = lost_after

    def log(self, row: Row, number: int) -> None:
        self._take(number, row.values)

    def log_table(self, name: str, path: Path, place: Mapping[str, int], number: int) -> None:
        self._take(number, name)

    def log_images(
        self, name: str, images: Sequence[tuple[Path, str | None]], place: Mapping[str, int], number: int
    ) -> None:
        self._take(number, name)

    def update_summary(self, values: dict[str, Any]) -> None:
        self.summary.update(values)

    def update_config(self, values: dict[str, Any]) -> None:
        self.config.update(values)

    def add_tags(self, tags: list[str]) -> None:
        self.tags += tags

    def save_file(self, path: Path, base: Path) -> None:
        self.once.append(path.relative_to(base).as_posix())

    def log_artifact(self, path: Path, name: str, type_: str) -> None:
        self.once.append(name)

    def alert(self, title: str, text: str, level: str, wait_duration: float | None = None) -> None:
        self.once.append(title)

    def define_metric(self, **definition: Any) -> None:
        self.made.append(definition["name"])

    def change_summary(self, update: Iterable[tuple[Sequence[str], Any]], remove: Iterable[Sequence[str]]) -> None:
        self.summary |= {".".join(path): value for path, value in update}

    def set_config(self, path: tuple[str, ...], value: Any) -> None:
        self.config[".".join(path)] = value

    def keep_file(self, path: Path, name: str, policy: str) -> None:
        self.files.append(name)

    def log_artifact_record(
        self, given: dict[str, Any], inside: Callable[[str], Path], made: Path, answer: Path | None
    ) -> None:
        for entry in given.get("manifest", {}).get("contents", []):
            inside(entry["localPath"])
        self.once.append(given["name"])
        if answer is not None and self._lost_after is None:
            answer.parent.mkdir(exist_ok=True)
            answer.touch()

    def use_artifact(self, id_: str, type_: str, name: str) -> None:
        self.once.append(id_)

    def mark_preempting(self) -> None:
        self.once.append("preempting")

    def write_console(self, text: str) -> None:
        self.once.append(text)

    def _take(self, number: int, content: Any) -> None:
        if len(self.rows) == self._lost_after:
            raise SessionLost("wandb could not log a row")
        self.rows.append((number, content))

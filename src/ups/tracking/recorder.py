"""What a training process says to a run: rows, results, configuration, tables, images, files and alerts.

Each becomes a record of the process's journal.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from ups.charts import check_metric_name, check_stage_name
from ups.errors import InvalidName, InvalidValue, UPSError, UsageError
from ups.tracking import media
from ups.tracking.config import plain_config
from ups.tracking.description import Description
from ups.tracking.faults import Faults
from ups.tracking.journal import Journal, encode_record
from ups.tracking.names import artifact_label, check_artifact_name, check_tag
from ups.tracking.rank import Rank
from ups.tracking.run_directory import RunDirectory
from ups.tracking.stage import DisabledStage, RankStage, Stage
from ups.tracking.values import number, shown

__all__ = ["Recorder"]


class Recorder:
    """The calls that log. A :class:`~ups.WandBContext` is one, with a journal to write to.

    Attributes:
        journal: This process's journal.
    """

    journal: Journal

    def __init__(
        self, directory: RunDirectory | None, description: Description, *, strict: bool, rank: Rank | None
    ) -> None:
        self._directory = directory
        self._description = description
        self._strict = strict
        self._rank = rank
        self._others = rank is not None and rank.index > 0
        self._config = dict(description.config)
        self._summary: dict[str, Any] = {}
        self._faults = Faults()
        self._stages: dict[str, Stage] = {}
        self._open_rows: dict[str, int] = {}  # the step of each stage's newest row, while values may join it

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a run's context belongs to this process and cannot be sent to another: there, call"
            " ups.join_wandb_context()"
        )

    @property
    def enabled(self) -> bool:
        """Whether anything is tracked."""
        return self._directory is not None

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self._description.run_id

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration, with a sweep's parameters and later updates. Change it with :meth:`update_config`."""
        return MappingProxyType(self._config)

    @property
    def summary(self) -> Mapping[str, Any]:
        """The summary values that this process has set."""
        return MappingProxyType(self._summary)

    def stage(self, name: str) -> Stage:
        """The stage of this name; the same one each time.

        Raises:
            InvalidName: The name is not letters, digits, ``_`` and ``-``.
        """
        stage = self._stages.get(name) if isinstance(name, str) else None
        if stage is None:
            check_stage_name(name)
            stage = self._stages[name] = self._new_stage(name)
            declared = self._description.stages
            if declared and name not in declared:
                import difflib

                near = difflib.get_close_matches(name, declared, 1)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                self.fault(
                    f"undeclared:{name}",
                    InvalidName(
                        f"stage {name!r} is not among the declared stages ({', '.join(declared)}).{meant}"
                        " It gets charts of its own"
                    ),
                )
        return stage

    def log_training_metric(self, stage: str, metric: str, value: Any, step: int) -> None:
        """Log one metric of a stage at a step; as ``ctx.stage(stage).log(step, {metric: value})``."""
        self.log_training_metrics(stage, {metric: value}, step)

    def log_training_metrics(self, stage: str, metrics: Mapping[str, Any], step: int) -> None:
        """Log one row of a stage; as ``ctx.stage(stage).log(step, metrics)``.

        A stage name that W&B could not draw does not stop the training: it is told, and the row is kept in the
        journal. It raises if the run is ``strict``.
        """
        held = self._stage_to_log("log_training_metrics", stage, metrics, step)
        if held is not None:
            held.log(step, metrics)

    def log_eval_summary(self, metrics: Mapping[str, Any], prefix: str = "eval") -> None:
        """Set evaluation results in the summary, as ``<prefix>/<metric>``; they make no chart points.

        A result may also be text or a truth value, as W&B's summary holds.
        """
        if not self.is_mapping("log_eval_summary", metrics):
            return
        if self._rank is not None and self._others:
            prefix = f"rank{self._rank.index}/{prefix}".rstrip("/")
        kept: dict[str, Any] = {}
        for metric, value in metrics.items():
            name = f"{prefix}/{metric}" if prefix else str(metric)
            try:
                check_metric_name(name)
                kept[name] = value if isinstance(value, (str, bool)) else number(value)
            except (InvalidName, InvalidValue) as error:
                self.record(rejected={name: shown(value, 200)})
                self.fault(f"summary:{name}", type(error)(f"summary {name!r}: {error}. It is in the journal only"))
        if kept:
            self._summary.update(kept)
            self.record(summary=kept)

    def log_values(self, values: Mapping[str, Any]) -> None:
        """Log a row that belongs to no stage; W&B draws it against its own row counter."""
        if not self.is_mapping("log_values", values):
            return
        kept: dict[str, int | float] = {}
        for name, value in values.items():
            try:
                check_metric_name(name)
                kept[name] = number(value)
            except (InvalidName, InvalidValue) as error:
                self.record(rejected={str(name): shown(value, 200)})
                self.fault(f"value:{name}", type(error)(f"metric {shown(name)}: {error}. It is in the journal only"))
        if kept:
            self.record(values=kept)

    def update_config(self, values: Any) -> None:
        """Add to the configuration, or change it."""
        plain = plain_config(values)
        self._config.update(plain)
        self.record(config=plain)

    def add_tags(self, *tags: str) -> None:
        """Add tags to the run. One that W&B refuses (a tag is text of 1 to 64 characters) is told and left out."""
        taken: list[str] = []
        refused: list[InvalidName] = []
        for tag in tags:
            try:
                check_tag(tag, "add_tags")
                taken.append(tag)
            except InvalidName as error:
                refused.append(error)
        if taken:
            self.record(tags=taken)
        for refusal in refused:
            self.fault("tag", refusal)

    def log_table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Log a table. Cells are numbers, text, truth values or None; anything else becomes text."""
        with self._keeping("table", name) as folder:
            if folder is not None:
                check_metric_name(name)
                path = media.keep_table(folder, name, columns, rows)
                self.record(table=name, path=self._inside(path))

    def log_image(self, name: str, image: Any, caption: str | None = None) -> None:
        """Log an image: a path, a matplotlib figure, a PIL image, or an array of height × width (× 3 or 4)."""
        with self._keeping("image", name) as folder:
            if folder is not None:
                check_metric_name(name)
                path = media.keep_image(folder, name, image)
                self.record(image=name, path=self._inside(path), caption=caption)

    def save_file(self, path: str | os.PathLike[str], base_path: str | os.PathLike[str] | None = None) -> None:
        """Save a copy of a file, as it is now, with the run; under its name, or its path relative to ``base_path``."""
        with self._keeping("file", str(path)) as folder:
            if folder is not None:
                base, name = media.keep_file(folder, Path(path), Path(base_path) if base_path is not None else None)
                self.record(file={"base": self._inside(base), "name": name.as_posix()})

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None, type: str = "file") -> None:
        """Log a copy of a file or folder, as it is now, as an artifact, by default named after the run and the path."""
        with self._keeping("artifact", str(name or path)) as folder:
            if folder is not None:
                if name is not None:
                    check_artifact_name(name)
                label = name or artifact_label(f"run-{self.run_id}-{Path(path).name}")
                copy = media.keep_artifact(folder, Path(path), label)
                self.record(artifact={"path": self._inside(copy), "name": label, "type": type})

    def alert(self, title: str, text: str = "", level: Literal["INFO", "WARN", "ERROR"] = "INFO") -> None:
        """Send an alert through W&B."""
        if level not in ("INFO", "WARN", "ERROR"):
            raise UsageError(f"level is {shown(level)}: choose INFO, WARN or ERROR")
        self.record(alert={"title": str(title), "text": str(text), "level": level})

    # ------------------------------------------------------------------ for the parts of tracking

    def record(self, **content: Any) -> None:
        """Append a record to the journal."""
        if self._directory is not None:
            self.journal.append(encode_record({"time": time.time(), **content}))

    def fault(self, kind: str, error: UPSError) -> None:
        """Count a fault, said once a kind; raise it if the run is strict."""
        if self._strict:
            self._faults.add(kind, str(error), quiet=True)
            raise error
        self._faults.add(kind, str(error))

    def log_open_row(self, stage: str, metrics: Mapping[str, Any], step: int) -> None:
        """Log a row of a stage that later ones at the same step join; as :meth:`Stage.log_open`."""
        held = self._stage_to_log("log_open_row", stage, metrics, step)
        if held is not None:
            held.log_open(step, metrics)

    def _stage_to_log(self, call: str, stage: str, metrics: Mapping[str, Any], step: int) -> Stage | None:
        """The stage of a row; None where nothing is tracked, or where a fault has been reported instead."""
        if self._directory is None or not self.is_mapping(call, metrics):
            return None
        held = self._stages.get(stage) if isinstance(stage, str) else None
        if held is None:
            try:
                held = self.stage(stage)
            except InvalidName as error:
                rejected = {str(name): shown(value, 200) for name, value in metrics.items()}
                self.record(stage=shown(stage), step=shown(step), rejected=rejected)
                self.fault("stage", InvalidName(f"{error}. The row is in the journal and is not drawn"))
        return held

    def note(self, kind: str, message: str) -> None:
        """Count something that a person may not expect and that costs no row: said once a kind, and never raised."""
        self._faults.add(kind, message)

    def joins_open_row(self, stage: str, step: int) -> bool:
        """Note that a stage logs an open row. True where its values join one that is there, as the row rule has it."""
        if self._open_rows.get(stage) == step:
            return True
        if stage in self._open_rows:
            self._open_rows.clear()
        self._open_rows[stage] = step
        return False

    def settle_rows(self) -> None:
        """Let the rows that are open be settled: no more values join them."""
        if self._open_rows:
            self._open_rows.clear()
            self.record(settled=True)

    def is_mapping(self, call: str, given: Any) -> bool:
        """Whether ``given`` has names and values; if not, that is a fault of the ``call``."""
        if isinstance(given, Mapping):
            return True
        error = InvalidValue(f"{call}() was given {shown(given)}: pass a dictionary, as in {{'loss': 0.5}}")
        self.fault(f"call:{call}", error)
        return False

    def device_failed(self, stage: str, metric: str, error: Exception) -> None:
        """Count a value that a device did not bring. Told by a thread of its own, so it is not raised if strict."""
        message = f"stage {stage!r}, metric {shown(metric)}: its device did not bring it: {shown(error, 200)}"
        self._faults.add(f"device:{stage}/{metric}", message)

    def _new_stage(self, name: str) -> Stage:
        if not self.enabled:
            return DisabledStage(name, self)
        return RankStage(name, self, self._rank.index) if self._rank is not None and self._others else Stage(name, self)

    @contextlib.contextmanager
    def _keeping(self, what: str, name: str) -> Iterator[Path | None]:
        """Gives the folder for media; a failure there is a fault, unless the run is strict. None if disabled."""
        try:
            yield self._directory.media if self._directory is not None else None
        except UPSError as error:
            self.fault(f"{what}:{name}", error)
        except Exception as error:  # noqa: BLE001 - a figure or a table of the user's may fail in any way
            self.fault(f"{what}:{name}", UPSError(f"{what} {name!r} could not be kept: {error}"))

    def _inside(self, path: Path) -> str:
        assert self._directory is not None
        return path.relative_to(self._directory.path).as_posix()

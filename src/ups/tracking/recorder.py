"""The calls that log: rows, results, configuration, tables, images, files and alerts.

Each becomes a record of the process's journal.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from ups.charts import check_metric_name, check_stage_name
from ups.errors import InvalidName, InvalidValue, UPSError, UsageError
from ups.journal.run_directory import RunDirectory
from ups.journal.run_manifest import RunManifest
from ups.journal.wandb_limits import artifact_label, check_artifact_name, check_tag
from ups.text import shown
from ups.tracking import media
from ups.tracking.config import plain_config
from ups.tracking.rank import Rank
from ups.tracking.row_sink import RowSink
from ups.tracking.stage import DisabledStage, RankStage, Stage
from ups.tracking.values import number, whole_number

__all__ = ["Recorder"]


class Recorder(ABC):
    """The calls that log, as part of a :class:`~ups.WandBContext`."""

    def __init__(
        self, directory: RunDirectory | None, manifest: RunManifest, *, strict: bool, rank: Rank | None
    ) -> None:
        self._directory = directory
        self._manifest = manifest
        self._sink = RowSink(strict=strict, keep_media=self._keep_media)
        self._rank = rank
        self._prefix = f"rank{rank.index}/" if rank is not None and rank.index > 0 else ""
        self._config = dict(manifest.config)
        self._summary: dict[str, Any] = {}
        self._stages: dict[str, Stage] = {}

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a run's context belongs to this process and cannot be sent to another: there, call"
            " ups.join_wandb_context()"
        )

    @property
    def enabled(self) -> bool:
        """True where anything is tracked."""
        return self._directory is not None

    @property
    def run_id(self) -> str:
        """W&B's id of the run."""
        return self._manifest.run_id

    @property
    def name(self) -> str | None:
        """The run's name, if it was given one."""
        return self._manifest.name or os.environ.get("WANDB_NAME")

    @property
    def dir(self) -> Path:
        """The run's directory; where there is none (``disabled``), the working directory."""
        return self._directory.path if self._directory is not None else Path.cwd()

    @property
    @abstractmethod
    def url(self) -> str | None:
        """The address of the run's page in W&B."""

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
            declared = self._manifest.stages
            if declared and name not in declared:
                import difflib

                near = difflib.get_close_matches(name, declared, 1)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                self._sink.fault(
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

        A stage name that W&B cannot draw does not stop the training: it is reported, and the row is kept in the
        journal. It raises if the run is ``strict``.
        """
        held = self._stage_to_log("log_training_metrics", stage, metrics, step)
        if held is not None:
            held.log(step, metrics)

    def log_eval_summary(self, metrics: Mapping[str, Any], prefix: str = "eval") -> None:
        """Set evaluation results in the summary, as ``<prefix>/<metric>``; they make no chart points.

        A result may also be text or a truth value, as W&B's summary holds.
        """
        if not self._sink.is_mapping("log_eval_summary", metrics):
            return
        if self._prefix:
            prefix = f"{self._prefix}{prefix}".rstrip("/")
        kept: dict[str, Any] = {}
        for metric, value in metrics.items():
            name = f"{prefix}/{metric}" if prefix else str(metric)
            try:
                check_metric_name(name)
                kept[name] = value if isinstance(value, (str, bool)) else number(value)
            except (InvalidName, InvalidValue) as error:
                self._record(rejected={name: shown(value, 200)})
                self._sink.fault(
                    f"summary:{name}", type(error)(f"summary {name!r}: {error}. It is in the journal only")
                )
        if kept:
            self._summary.update(kept)
            self._record(summary=kept)

    def log_values(self, values: Mapping[str, Any]) -> None:
        """Log a row that belongs to no stage; W&B draws it against its own row counter."""
        if not self._sink.is_mapping("log_values", values):
            return
        kept: dict[str, int | float] = {}
        for name, value in values.items():
            try:
                check_metric_name(name)
                kept[name] = number(value)
            except (InvalidName, InvalidValue) as error:
                self._record(rejected={str(name): shown(value, 200)})
                self._sink.fault(
                    f"value:{name}", type(error)(f"metric {shown(name)}: {error}. It is in the journal only")
                )
        if kept:
            self._record(values=kept)

    def update_config(self, values: Any) -> None:
        """Add to the configuration, or change it."""
        plain = plain_config(values)
        self._config.update(plain)
        self._record(config=plain)

    def add_tags(self, *tags: str) -> None:
        """Add tags to the run. One that W&B refuses (a tag is text of 1 to 64 characters) is reported and left out."""
        taken: list[str] = []
        refused: list[InvalidName] = []
        for tag in tags:
            try:
                check_tag(tag, "add_tags")
                taken.append(tag)
            except InvalidName as error:
                refused.append(error)
        if taken:
            self._record(tags=taken)
        for refusal in refused:
            self._sink.fault("tag", refusal)

    def log_table(
        self,
        name: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[Any]],
        *,
        stage: str | None = None,
        step: int | None = None,
    ) -> None:
        """Log a table. Cells are numbers, text, truth values or None; anything else becomes text.

        Given a ``stage`` and its ``step``, the table is among the stage's metrics, in a row at that step.
        """
        with self._keeping("table", name) as folder:
            if folder is not None:
                own, place = self._place(name, stage, step)
                path = media.keep_table(folder, name, columns, rows)
                self._record(table=own, path=self._inside(path), **place)

    def log_image(
        self,
        name: str,
        image: Any,
        caption: str | Sequence[str | None] | None = None,
        *,
        stage: str | None = None,
        step: int | None = None,
    ) -> None:
        """Log an image: a path, a matplotlib figure, a PIL image, or an array of height × width (× 3 or 4).

        Given a list of them, and a list of captions, W&B shows them beside each other. Given a ``stage`` and its
        ``step``, they are among the stage's metrics, in a row at that step.
        """
        with self._keeping("image", name) as folder:
            if folder is not None:
                own, place = self._place(name, stage, step)
                images = image if isinstance(image, list) and image else [image]
                captions = [caption] if caption is None or isinstance(caption, str) else [*caption]
                captions += [None] * (len(images) - len(captions))
                kept = [
                    {"path": self._inside(media.keep_image(folder, name, each)), "caption": given}
                    for each, given in zip(images, captions, strict=True)
                ]
                more = {"more": kept[1:]} if len(kept) > 1 else {}
                self._record(image=own, **kept[0], **more, **place)

    def save_file(self, path: str | os.PathLike[str], base_path: str | os.PathLike[str] | None = None) -> None:
        """Save a copy of a file, as it is now, with the run; under its name, or its path relative to ``base_path``."""
        with self._keeping("file", str(path)) as folder:
            if folder is not None:
                base, name = media.keep_file(folder, Path(path), Path(base_path) if base_path is not None else None)
                self._record(file={"base": self._inside(base), "name": name.as_posix()})

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None, type: str = "file") -> None:
        """Log a copy of a file or folder, as it is now, as an artifact, by default named after the run and the path."""
        with self._keeping("artifact", str(name or path)) as folder:
            if folder is not None:
                if name is not None:
                    check_artifact_name(name)
                label = name or artifact_label(f"run-{self.run_id}-{Path(path).name}")
                copy = media.keep_artifact(folder, Path(path), label)
                self._record(artifact={"path": self._inside(copy), "name": label, "type": type})

    def alert(self, title: str, text: str = "", level: Literal["INFO", "WARN", "ERROR"] = "INFO") -> None:
        """Send an alert through W&B."""
        if level not in ("INFO", "WARN", "ERROR"):
            raise UsageError(f"level is {shown(level)}: choose INFO, WARN or ERROR")
        self._record(alert={"title": str(title), "text": str(text), "level": level})

    @abstractmethod
    def flush(self) -> None:
        """Put all logged rows on the disk."""

    @abstractmethod
    def finish(self, exit_code: int | None = 0) -> object:
        """End the run."""

    # ------------------------------------------------------------------ for the parts of tracking, and the integrations

    @abstractmethod
    def reopen_after_fork(self) -> None:
        """Give a forked child a journal of its own."""

    @property
    def sink(self) -> RowSink:
        """Where this process's records go.

        :meta private:
        """
        return self._sink

    def log_open_row(self, stage: str, metrics: Mapping[str, Any], step: int) -> None:
        """Log a row of a stage that later ones at the same step join; as :meth:`Stage.log_open`."""
        held = self._stage_to_log("log_open_row", stage, metrics, step)
        if held is not None:
            held.log_open(step, metrics)

    def _stage_to_log(self, call: str, stage: str, metrics: Mapping[str, Any], step: int) -> Stage | None:
        """The stage of a row; None where nothing is tracked, or where a fault has been reported instead."""
        if self._directory is None or not self._sink.is_mapping(call, metrics):
            return None
        held = self._stages.get(stage) if isinstance(stage, str) else None
        if held is None:
            try:
                held = self.stage(stage)
            except InvalidName as error:
                rejected = {str(name): shown(value, 200) for name, value in metrics.items()}
                self._record(stage=shown(stage), step=shown(step), rejected=rejected)
                self._sink.fault("stage", InvalidName(f"{error}. The row is in the journal and is not drawn"))
        return held

    def _record(self, **content: Any) -> None:
        """Append a record to the journal, if anything is tracked."""
        if self._directory is not None:
            self._sink.record(**content)

    def _place(self, name: str, stage: str | None, step: int | None) -> tuple[str, dict[str, Any]]:
        """The name of a medium, and its stage and step where a stage is given.

        Raises:
            InvalidName, InvalidStep: W&B cannot draw them.
        """
        if stage is None:
            check_metric_name(name)
            return name, {}
        name = f"{self._prefix}{name}"
        check_metric_name(name)
        return name, {"stage": self.stage(stage).name, "step": whole_number(step)}

    def _keep_media(self, values: dict[str, Any], step: int) -> dict[str, Any]:
        """Media of wandb's types as JSON. The drop-in, which stands above tracking, knows how wandb makes it."""
        kept: dict[str, Any] = import_module("ups.dropin.stage_media").as_json(self, values, step)
        return kept

    def _new_stage(self, name: str) -> Stage:
        if not self.enabled:
            return DisabledStage(name, self._sink)
        return RankStage(name, self._sink, self._prefix) if self._prefix else Stage(name, self._sink)

    @contextlib.contextmanager
    def _keeping(self, what: str, name: str) -> Iterator[Path | None]:
        """Gives the folder for media, or None if nothing is tracked; counts a failure as a fault."""
        try:
            yield self._directory.media if self._directory is not None else None
        except UPSError as error:
            self._sink.fault(f"{what}:{name}", error)
        except Exception as error:  # noqa: BLE001 - a figure or a table of the user's may fail in any way
            self._sink.fault(f"{what}:{name}", UPSError(f"{what} {name!r} could not be kept: {error}"))

    def _inside(self, path: Path) -> str:
        assert self._directory is not None
        return path.relative_to(self._directory.path).as_posix()

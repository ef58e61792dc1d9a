"""A stage: the object through which a training loop logs its rows.

``log`` is the one call on the training thread's path. A row of finite floats, under names that the stage has seen
together before, is encoded by orjson and appended to the journal with one ``write``; any other row is slower.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson

from ups.charts import LARGEST_STEP, check_metric_name, metric_key
from ups.errors import InvalidName, InvalidStep, InvalidValue, UPSError, UsageError
from ups.journal.record_types import encode_record
from ups.text import shown
from ups.tracking.media import is_medium
from ups.tracking.pending_values import Arriving, arriving
from ups.tracking.row_sink import RowSink
from ups.tracking.values import number, whole_number

__all__ = ["DisabledStage", "RankStage", "Stage"]

_NEVER = float("-inf")


class Stage:
    """A named part of the run with its own steps and charts. Made by :meth:`~ups.WandBContext.stage`.

    Attributes:
        name: The stage's name.
    """

    def __init__(self, name: str, sink: RowSink) -> None:
        self.name = name
        self._sink = sink
        self._reached: dict[tuple[str, ...], float] = {}  # names that come together → their last step
        self._last_step: float = _NEVER

    def __repr__(self) -> str:
        return f"Stage({self.name!r})"

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            f"stage {self.name!r} belongs to this process and cannot be sent to another: there, call"
            f" ups.join_wandb_context().stage({self.name!r})"
        )

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """Log one row: the stage's metrics at one of its steps.

        The row is in the journal's file when this returns, and in W&B soon after, each metric drawn against the
        stage's own steps.

        Args:
            step: The stage's step, a whole number that grows from row to row.
            values: Metric names to values; for names that Python cannot have as keywords, such as ``"loss/pde"``.
            metrics: The same as keyword arguments.

        A value is a Python, NumPy, torch or JAX number, or an array of one element. NaN and infinities are kept.
        Where the training has imported wandb, a value may also be what ``wandb.Run.log`` takes as a medium: an image,
        a table, a histogram, audio, video, HTML, a figure of matplotlib or Plotly, a 3-D object, a chart, a data frame,
        or a list of them. It comes in the same row, at the stage's step.

        This thread does not wait for a value that a GPU is still to compute. Its row is in the file as soon as the
        device has brought the value: at the latest before the next row, with :meth:`WandBContext.flush
        <ups.WandBContext.flush>` or at the end. Only this row can be lost when the process is killed.

        Nothing here stops the training unless the run is ``strict``: a value that is not a number, a name that W&B
        cannot draw or a step that goes back is reported once on stderr, counted, and kept in the journal.

        Raises:
            UsageError: Only if ``strict``; the right part of the row is kept.
            OSError: Only if ``strict``: the journal's disk is full; the row waits in memory.
        """
        if values is not None:
            try:
                metrics = {**values, **metrics}
            except TypeError:
                self._sink.is_mapping(f"stage {self.name!r}: log", values)
                return
        names = tuple(metrics)
        if type(step) is int and names in self._reached and step <= LARGEST_STEP:
            for value in metrics.values():
                if type(value) is not float:
                    break
            else:
                line = _line(self.name, step, metrics)
                if line is not None:
                    self._sink.journal.append(line)
                    if step > self._last_step:
                        self._last_step = self._reached[names] = step
                    else:
                        self._look_back(names, step)
                    return
        self._log_with_care(step, metrics)

    def log_open(self, step: int, values: Mapping[str, Any]) -> None:
        """Log a row that later ones at the same step join: of each metric the last value stands.

        It is in the journal's file when this returns, and in W&B once it is settled: by the stage's next step, by
        :meth:`WandBContext.flush <ups.WandBContext.flush>` or at the end.
        """
        self._log_with_care(step, dict(values), is_open=True)

    def _log_with_care(self, step: Any, metrics: dict[str, Any], *, is_open: bool = False) -> None:
        """Log a row that is not all plain floats under known names: keep its right part, and report the rest."""
        sink = self._sink
        if not metrics:
            error = InvalidValue(f"stage {self.name!r}: log({shown(step)}) has no metric: pass them, as in loss=0.5")
            sink.fault(f"nothing:{self.name}", error)
            return
        good: dict[str, int | float | Arriving] = {}
        media: dict[str, Any] = {}
        rejected: dict[str, str] = {}
        faults: list[tuple[str, UPSError]] = []
        for name, value in metrics.items():
            try:
                check_metric_name(name)
                if is_medium(value):
                    media[name] = value
                else:
                    good[name] = arriving(value) or number(value)
            except (InvalidName, InvalidValue) as error:
                rejected[str(name)] = shown(value, 200)
                kind = "name" if isinstance(error, InvalidName) else "value"
                message = f"stage {self.name!r}, metric {shown(name)}: {error}. It is in the journal and is not drawn"
                faults.append((f"{kind}:{self.name}/{name}", type(error)(message)))
        try:
            step = whole_number(step)
        except InvalidStep as error:
            rejected |= {name: shown(metrics[name], 200) for name in (*good, *media)}
            good, media = {}, {}
            message = f"stage {self.name!r}: {error}. The row is in the journal and is not drawn"
            faults.append((f"step:{self.name}", InvalidStep(message)))
        names = (*good, *media)
        for name, value in media.copy().items():
            del media[name]
            try:
                media |= self._kept(name, value, step)
            except Exception as error:  # noqa: BLE001 - a figure or a table of the user's may fail in any way
                rejected[name] = shown(value, 200)
                message = f"stage {self.name!r}, metric {name!r}: {shown(value)} could not be kept: {error}"
                faults.append((f"medium:{self.name}/{name}", InvalidValue(message)))
        if rejected:
            record = {"time": time.time(), "stage": self.name, "step": shown(step), "rejected": rejected}
            sink.journal.append(encode_record(record))
        if good or media:
            joins = is_open and sink.joins_open_row(self.name, step)
            row: dict[str, Any] = {"time": time.time(), "stage": self.name, "step": step, "values": good}
            if media:
                row["media"] = media
            if is_open:
                row["open"] = True
            if all(isinstance(value, int | float) for value in good.values()):
                sink.journal.append(encode_record(row))
            else:
                sink.journal.defer(_RowOfDevice(row, sink))
            self._look_back(names, step, joins=joins)
        for kind, fault in faults:
            sink.fault(kind, fault)

    def _kept(self, name: str, value: Any, step: int) -> dict[str, Any]:
        """A medium as JSON under its name, its files kept; of a chart, the table under the name that W&B gives it."""
        above = metric_key(self.name, "")
        kept = self._sink.keep_media({f"{above}{name}": value}, step)
        return {full.removeprefix(above): content for full, content in kept.items()}

    def _look_back(self, names: tuple[str, ...], step: int, *, joins: bool = False) -> None:
        """Note that these metrics have reached ``step``; report it if one of them had been there or beyond.

        ``joins`` is true where their values join a row of that step.
        """
        last = max(
            (at for others, at in self._reached.copy().items() if not set(others).isdisjoint(names)), default=_NEVER
        )
        if step > last:
            self._reached[names] = step
            self._last_step = max(self._last_step, step)
            return
        if joins and step == last:
            self._reached[names] = step
            again = f"stage {self.name!r}: step {step} is given again: of each metric the last value stands"
            self._sink.note(f"again:{self.name}", again)
            return
        self._sink.fault(
            f"step:{self.name}",
            InvalidStep(
                f"stage {self.name!r}: step {step} after step {last:.0f}, and a chart cannot go back. The row is in the"
                " journal and is not drawn. Count the stage's steps upwards; for another pass, use a stage of its own"
            ),
        )


class _RowOfDevice:
    """A row with values that a device is still to bring. A value that does not arrive is reported and rejected."""

    def __init__(self, record: dict[str, Any], sink: RowSink) -> None:
        self._record = record
        self._sink = sink
        self._lock = threading.Lock()
        self._lines: bytes | None = None

    def lines(self) -> bytes:
        """The row as lines of the journal, once the device has brought its values."""
        with self._lock:
            if self._lines is None:
                self._lines = self._encode()
            return self._lines

    def _encode(self) -> bytes:
        values: dict[str, int | float] = {}
        rejected: dict[str, str] = {}
        for name, value in self._record["values"].items():
            try:
                values[name] = value if isinstance(value, int | float) else value.number()
            except Exception as error:  # noqa: BLE001 - a device may fail in any way; the training will see it too
                rejected[name] = shown(error, 200)
                self._sink.device_failed(self._record["stage"], name, error)
        lines = b""
        for kind, content in (("values", values), ("rejected", rejected)):
            if content or (kind == "values" and "media" in self._record):
                apart = ("values",) if kind == "values" else ("values", "media")
                known = {key: held for key, held in self._record.items() if key not in apart}
                lines += encode_record(known | {kind: content})
        return lines


class RankStage(Stage):
    """The stage in a rank beyond 0: its metrics are ``rank<k>/<metric>``, against the same steps."""

    def __init__(self, name: str, sink: RowSink, prefix: str) -> None:
        super().__init__(name, sink)
        self._prefix = prefix

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """As :meth:`Stage.log`, under the rank's own names."""
        if self._sink.is_mapping(f"stage {self.name!r}: log", values if values is not None else {}):
            super().log(step, {f"{self._prefix}{name}": value for name, value in {**(values or {}), **metrics}.items()})

    def log_open(self, step: int, values: Mapping[str, Any]) -> None:
        """As :meth:`Stage.log_open`, under the rank's own names."""
        super().log_open(step, {f"{self._prefix}{name}": value for name, value in values.items()})


class DisabledStage(Stage):
    """The stage of a run that is not tracked: ``log`` does nothing."""

    def log(self, step: int, values: Mapping[str, Any] | None = None, /, **metrics: Any) -> None:
        """Do nothing."""

    def log_open(self, step: int, values: Mapping[str, Any]) -> None:
        """Do nothing."""


def _line(stage: str, step: int, values: dict[str, float]) -> bytes | None:
    """The journal's line for a row of floats; None where orjson cannot write it as it is."""
    record = {"time": time.time(), "stage": stage, "step": step, "values": values}
    try:
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a step beyond 64 bits, half a surrogate pair in a name
        return None
    return None if b"null" in line else line  # orjson writes NaN and the infinities so

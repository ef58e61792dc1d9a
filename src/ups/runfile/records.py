"""Protobuf ↔ dataclasses: the records of a ``.wandb`` file.

This module describes the part of W&B's ``wandb_internal.proto`` that UPS reads, with the field numbers of the original.
So it does not import wandb, and reads files of any version since 0.19. A message that is parsed and written again
keeps the fields that are not described.

History records, which make up most of a long file, are not parsed here one by one: see :mod:`ups.runfile.history`.
"""

import json
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from ups.charts import DEFAULT_AXIS
from ups.runfile.framing import Batch
from ups.runfile.message import Message, message_classes
from ups.runfile.wire import Bytes, Positions, fields_in, read_fields, read_varints, sized

__all__ = [
    "STRUCTURE",
    "Change",
    "ConfigChange",
    "Exit",
    "HistoryRecord",
    "Item",
    "Kind",
    "MetricDefinition",
    "Payloads",
    "Record",
    "RunInfo",
    "SummaryChange",
    "find_payloads",
    "first_run",
    "parse",
    "path_of",
    "readable",
    "value_of",
]


class Kind(IntEnum):
    """The kind of a record: its field number in the message ``Record``."""

    UNREADABLE = 0
    HISTORY = 2
    SUMMARY = 3
    OUTPUT = 4
    CONFIG = 5
    FILES = 6
    STATS = 7
    ARTIFACT = 8
    ALERT = 10
    TELEMETRY = 11
    METRIC = 12
    OUTPUT_RAW = 13
    RUN = 17
    EXIT = 18
    FINAL = 20
    HEADER = 21
    FOOTER = 22
    PREEMPTING = 23
    ENVIRONMENT = 26


STRUCTURE = (Kind.RUN, Kind.METRIC, Kind.CONFIG, Kind.EXIT)
"""The kinds that describe the run: few in a file, and each parsed by itself."""

_HIGHEST_NUMBER = 2**40  # of a record: a file with as many has 10 TB
_DEEPEST = 64  # nested dictionaries and lists, in a name or in a value: UPS goes through them by recursion
_AROUND = np.isin(np.arange(202), (1, 16, 19, 200))  # num, control, uuid, _info: beside the field of a record's kind
_FIELDS_AROUND = 6

_MESSAGES = {  # as message_classes takes them
    "Timestamp": "seconds 1 int64, nanos 2 int32",
    "Item": "key 1 string, nested_key 2 string*, none 3 int32, boolean 4 bool, integer 5 sint64, "
    "number 6 double, text 7 string, json 8 string, value_json 16 string",
    "HistoryStep": "num 1 int64",
    "HistoryRecord": "item 1 Item*, step 2 HistoryStep",
    "SummaryRecord": "update 1 Item*, remove 2 Item*",
    "ConfigRecord": "update 1 Item*, remove 2 Item*",
    "MetricOptions": "step_sync 1 bool, hidden 2 bool, defined 3 bool",
    "MetricControl": "overwrite 1 bool",
    "MetricRecord": "name 1 string, glob_name 2 string, step_metric 4 string, step_metric_index 5 int32, "
    "options 6 MetricOptions, _control 9 MetricControl, expanded_from_glob 10 bool",
    "RunRecord": "run_id 1 string, entity 2 string, project 3 string, config 4 ConfigRecord, "
    "summary 5 SummaryRecord, run_group 6 string, job_type 7 string, display_name 8 string, notes 9 string, "
    "tags 10 string*, host 13 string, starting_step 14 int64, start_time 17 Timestamp, resumed 18 bool, "
    "branch_point 23 BranchPoint",
    "BranchPoint": "run 1 string, value 2 double, metric 3 string",
    "RunExitRecord": "exit_code 1 int32, runtime 2 int32, not_complete 3 bool",
    "VersionInfo": "producer 1 string, min_consumer 2 string",
    "HeaderRecord": "version_info 1 VersionInfo",
    "Record": "num 1 int64, history 2 HistoryRecord, summary 3 SummaryRecord, config 5 ConfigRecord, "
    "metric 12 MetricRecord, run 17 RunRecord, exit 18 RunExitRecord, header 21 HeaderRecord",
}
_CLASSES = message_classes(_MESSAGES)
Record, HistoryRecord, Item = _CLASSES["Record"], _CLASSES["HistoryRecord"], _CLASSES["Item"]


@dataclass(frozen=True)
class RunInfo:
    """A ``run`` record: the identity of the run. Texts are empty where the record omits them.

    ``started`` is in seconds since 1970. ``rewound_to`` is the last ``_step`` that a rewound run (``resume_from=``)
    keeps of its earlier rows; None where it was not rewound.
    """

    run_id: str
    name: str
    project: str
    entity: str
    tags: tuple[str, ...]
    started: float
    config: dict[str, Any]
    rewound_to: float | None = None


@dataclass(frozen=True)
class MetricDefinition:
    """A ``metric`` record: one ``define_metric``, by exact name or by glob.

    ``expanded_from_glob`` (wandb 0.29 and older) marks an exact name that wandb filled in from a glob.
    """

    name: str
    glob: str
    step_metric: str
    hidden: bool
    expanded_from_glob: bool
    overwrite: bool


@dataclass(frozen=True)
class Change:
    """Values to set by path, and paths to remove."""

    update: dict[tuple[str, ...], Any]
    remove: tuple[tuple[str, ...], ...]


class ConfigChange(Change):
    """A ``config`` record."""


class SummaryChange(Change):
    """A ``summary`` record."""


@dataclass(frozen=True)
class Exit:
    """An ``exit`` record: the orderly end of the run. ``runtime`` is in seconds."""

    exit_code: int
    runtime: int


class Payloads(NamedTuple):
    """The place of each record's content in a batch; arrays of shape (records,).

    ``kind`` holds numbers of :class:`Kind`, or of kinds that it does not list. ``start`` and ``end`` enclose the
    content in ``buffer``. ``number`` counts the records of a file from 1; it is 0 for a record without a number.
    ``structure`` holds the messages of the kinds in :data:`STRUCTURE`, by their places in the batch.
    """

    buffer: Bytes
    number: Positions
    kind: Positions
    start: Positions
    end: Positions
    structure: dict[int, Message]


def find_payloads(batch: Batch) -> Payloads:
    """Find each record's kind and content.

    A record whose fields do not fill it is :attr:`Kind.UNREADABLE`: parts of several records, each with a right
    checksum, can come together in a damaged file. So is one of :data:`STRUCTURE` that is not such a message.
    """
    buffer = np.frombuffer(batch.data, dtype=np.uint8)
    limit = batch.starts + batch.lengths
    number = np.zeros(len(limit), dtype=np.int64)
    kind = np.zeros(len(limit), dtype=np.int64)
    start, end = limit.copy(), limit.copy()
    at, left = batch.starts, np.flatnonzero(batch.lengths > 0)
    for _ in range(_FIELDS_AROUND):
        field = read_fields(buffer, at[left], limit[left])
        around = _AROUND[np.minimum(field.number, 201)]
        num = field.number == 1
        number[left[num]] = read_varints(buffer, field.start[num])[0]
        found = left[~around]
        kind[found] = field.number[~around]
        start[found], end[found] = field.start[~around], field.end[~around]
        at = end.copy()
        at[left[around]] = field.end[around]
        left = left[around]
        left = left[at[left] < limit[left]]
        if not left.size:
            break
    rest = np.flatnonzero(kind > 0)
    at = end.copy()
    for _ in range(_FIELDS_AROUND):
        rest = rest[at[rest] < limit[rest]]
        if not rest.size:
            break
        field = read_fields(buffer, at[rest], limit[rest])
        kind[rest[~_AROUND[np.minimum(field.number, 201)]]] = Kind.UNREADABLE
        at[rest] = np.where(field.number > 0, field.end, limit[rest])
    kind[rest[at[rest] < limit[rest]]] = Kind.UNREADABLE
    structure = {}
    for index in np.flatnonzero(np.isin(kind, STRUCTURE)).tolist():
        try:
            structure[index] = Record(batch.record(index))
        except ValueError:
            kind[index] = Kind.UNREADABLE
    number[(number > _HIGHEST_NUMBER) | (number < 0)] = 0
    return Payloads(buffer, number, kind, start, end, structure)


def first_run(payloads: Payloads) -> RunInfo | None:
    """The first run record of a batch; None without one."""
    return next((_run_info(message.run) for message in payloads.structure.values() if "run" in message), None)


def _is_readable(record: bytes) -> bool:
    try:
        Record(record)
    except ValueError:
        return False
    return True


def readable(record: bytes) -> bytes:
    """The record, without the items of a history or summary record that are not such messages."""
    if _is_readable(record):
        return record
    kept = []
    for kind, begin, start, end in fields_in(record):
        field = record[begin:end]
        if kind in (Kind.HISTORY, Kind.SUMMARY):
            content = record[start:end]
            items = (content[low:high] for _, low, _, high in fields_in(content))
            field = sized(kind, b"".join(item for item in items if _is_readable(sized(kind, item))))
        kept.append(field)
    return b"".join(kept)


def parse(record: bytes | Message) -> RunInfo | MetricDefinition | ConfigChange | SummaryChange | Exit | None:
    """Read the parts of a record that can be read; None for kinds that UPS does not read, and for other bytes."""
    try:
        message = record if isinstance(record, Message) else Record(readable(record))
    except ValueError:
        return None
    if "run" in message:
        return _run_info(message.run)
    if "metric" in message:
        metric = message.metric
        return MetricDefinition(
            name=metric.name,
            glob=metric.glob_name,
            step_metric=metric.step_metric,
            hidden=metric.options.hidden,
            expanded_from_glob=metric.expanded_from_glob,
            overwrite=metric._control.overwrite,
        )
    if "config" in message:
        return ConfigChange(*_changes(message.config))
    if "summary" in message:
        return SummaryChange(*_changes(message.summary))
    if "exit" in message:
        return Exit(message.exit.exit_code, message.exit.runtime)
    return None


def value_of(item: Message) -> Any:
    """The value of a history, summary or configuration item in any of W&B's encodings.

    Every version writes ``value_json``; 0.31 can add a typed form (setting ``x_history_value_encoding``).
    """
    if item.value_json:
        return _loaded(item.value_json)
    for form in ("boolean", "integer", "number"):
        if form in item:
            return getattr(item, form)
    if item.json:
        return _loaded(item.json)
    return item.text or None


def _loaded(text: str) -> Any:
    """Read a JSON value; return the text itself where it is damaged or nested too deeply."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _is_too_deep(text, value) else value


def _is_too_deep(text: str, value: Any) -> bool:
    if text.count("[") + text.count("{") <= _DEEPEST:
        return False
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def _run_info(run: Message) -> RunInfo:
    update, _ = _changes(run.config)
    branch = run.branch_point
    rewinds = branch.run == run.run_id != "" and branch.metric in ("", DEFAULT_AXIS)  # a fork has another run's id
    return RunInfo(
        run_id=run.run_id,
        name=run.display_name,
        project=run.project,
        entity=run.entity,
        tags=tuple(run.tags),
        started=run.start_time.seconds + run.start_time.nanos / 1e9,
        config={".".join(path): value for path, value in update.items()},
        rewound_to=branch.value if rewinds else None,
    )


def _changes(record: Message) -> tuple[dict[tuple[str, ...], Any], tuple[tuple[str, ...], ...]]:
    update = {path_of(item): value_of(item) for item in record.update}
    return update, tuple(path_of(item) for item in record.remove)


def path_of(item: Message) -> tuple[str, ...]:
    """The nested keys of an item; dots join the keys that are too deep into one, as W&B shows them."""
    keys = tuple(item.nested_key) or (item.key,)
    return keys if len(keys) <= _DEEPEST else (*keys[: _DEEPEST - 1], ".".join(keys[_DEEPEST - 1 :]))

"""The interface between a wandb run and its service, with UPS's journal in the place of the service.

wandb's own client code makes the records: it checks arguments, writes media files and turns values into JSON. Each
record becomes a record of the run's journal, or is answered from what was journaled.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import wandb
from google.protobuf import json_format
from wandb.proto import wandb_internal_pb2 as pb
from wandb.sdk.data_types.utils import history_dict_to_json
from wandb.sdk.interface.interface_shared import InterfaceShared
from wandb.util import json_dumps_safer_history

from ups.dropin.answers import Answer, FileAnswer, Moment
from ups.dropin.kept_files import keep_artifact, keep_file
from ups.dropin.script_state import ScriptState
from ups.errors import UsageError
from ups.journal.run_directory import RunDirectory, new_run_id
from ups.tracking.context import WandBContext

__all__ = ["JournalInterface"]

_POLICIES = {pb.FilesItem.NOW: "now", pb.FilesItem.LIVE: "live", pb.FilesItem.END: "end"}
_SUMMARIES = ("min", "max", "mean", "best", "last", "copy", "none", "first")
_GOALS = {pb.MetricRecord.GOAL_MINIMIZE: "minimize", pb.MetricRecord.GOAL_MAXIMIZE: "maximize"}
_AWAITED = ("internal_messages", "stop_status", "network_status")  # answered at the run's end
_WHOLE = 1e6  # below it wandb-core writes a whole number in a float without a point
_OF_DELIVERY = frozenset(  # what the run that delivery opens sends itself, or UPS's capture of the console
    {
        *("header", "footer", "telemetry", "environment", "stats", "final", "output", "output_raw"),
        *("python_packages", "probe_system_info", "pause", "resume", "keepalive", "cancel"),
    }
)
_OF_WANDB = {  # what only wandb's own process, beside the training, can do
    "tbrecord": "wandb's own process reads TensorBoard's files",
    "link_artifact": "wandb's own process links the artifact",
    "download_artifact": "wandb's own process downloads the artifact",
    "job_input": "W&B Launch reads it",
}

_NUMBERS = (float, int, bool)  # a tensor, or a dictionary that the script may use again, is taken from its JSON


class JournalInterface(InterfaceShared):
    """Takes what one wandb run publishes, and answers what it asks.

    Args:
        asyncer: wandb's thread for asynchronous waits.
        begin: Called with the record of a new run, which it completes; returns the run that is tracked, and its state.
        context: The run that is tracked, where it has begun in another process.

    Attributes:
        state: The run as its script sees it.
        context: The run that is tracked; None until wandb has announced it.
        finish_timeout: Seconds that the end of the run may take, where its script has set them.
    """

    def __init__(
        self,
        asyncer: Any,
        begin: Callable[[pb.RunRecord], tuple[WandBContext, ScriptState]] | None = None,
        *,
        context: WandBContext | None = None,
    ) -> None:
        super().__init__()
        self.state = ScriptState(time.time())
        self.context = context
        self.finish_timeout: float | None = None
        self._asyncer = asyncer
        self._begin = begin
        self._run = pb.RunRecord(run_id=context.run_id if context is not None else "")
        self._ended = Moment()
        self._linked: set[Path] = set()

    def continue_from(self, parent: JournalInterface) -> None:
        """Continue from the state that the run had in the process which forked this one."""
        self.state = parent.state.copy()
        self._run.CopyFrom(parent._run)

    # ------------------------------------------------------------------ rows

    def append(self, line: bytes) -> None:
        """Append a line to this process's journal."""
        assert self.context is not None
        self.context.sink.journal.append(line)

    def publish_partial_history(
        self,
        run: Any,
        data: dict[str, Any],
        user_step: int,
        step: int | None = None,
        flush: bool | None = None,
        publish_step: bool = True,
    ) -> None:
        """Journal a call of ``run.log``, with its values as wandb would send them."""
        values = history_dict_to_json(run, data, step=user_step, ignore_copy_err=True)
        values.pop("_step", None)
        content: dict[str, Any] = {"time": time.time()}
        texts = {name: json_dumps_safer_history(value) for name, value in values.items()}
        content["log"] = {name: orjson.Fragment(text) for name, text in texts.items()}
        if step is not None and publish_step:
            content["step"] = step
        if flush is not None:
            content["commit"] = flush
        self.append(orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE))
        held = {name: v if type(v) in _NUMBERS else json.loads(texts[name]) for name, v in values.items()}
        self.state.log_nested(held, content.get("step"), flush, content["time"])

    # ------------------------------------------------------------------ everything else

    def _publish(self, record: pb.Record, *, nowait: bool = False) -> None:
        if self.context is None:
            return  # the header and the telemetry that come before the run
        kind = record.WhichOneof("record_type")
        if kind == "request":
            kind = record.request.WhichOneof("request_type")
        publish = getattr(self, f"_journal_{kind}", None)
        if publish is not None:
            publish(getattr(record, kind))
        elif kind not in _OF_DELIVERY:
            raise _not_had(kind)

    def _record(self, **content: Any) -> None:
        assert self.context is not None
        self.context.sink.record(**content)

    def publish_python_packages(self, working_set: Iterable[Any]) -> None:
        """Do nothing: delivery lists the packages of its own process. Reading their metadata takes most of an init."""

    def _journal_metric(self, metric: pb.MetricRecord) -> None:
        options: dict[str, Any] = {"name": metric.glob_name or metric.name}
        if metric.step_metric:
            options["step_metric"] = metric.step_metric
        if metric.options.step_sync:
            options["step_sync"] = True
        elif metric.step_metric:
            options["step_sync"] = False
        if metric.options.hidden:
            options["hidden"] = True
        if chosen := [name for name in _SUMMARIES if getattr(metric.summary, name)]:
            options["summary"] = ",".join(chosen)
        if metric.goal in _GOALS:
            options["goal"] = _GOALS[metric.goal]
        if metric._control.overwrite:
            options["overwrite"] = True
        self.state.define(options)
        self._record(metric=options)

    def _journal_config(self, config: pb.ConfigRecord) -> None:
        for item in config.update:
            self._record(config_item={"path": _path(item), "value": json.loads(item.value_json)})

    def _journal_summary(self, summary: pb.SummaryRecord) -> None:
        update = [(_path(item), json.loads(item.value_json)) for item in summary.update]
        remove = [_path(item) for item in summary.remove]
        self.state.change_summary(update, remove)
        self._record(summary_items={"update": update, "remove": remove})

    def _journal_files(self, files: pb.FilesRecord) -> None:
        assert self.context is not None
        for item in files.files:
            policy = _POLICIES[item.policy]
            path = RunDirectory(self.context.dir).files / item.path
            if policy == "now":
                keep_file(path)
            else:  # W&B wants what the original holds later, so the link to it stays until the run ends
                self._linked.add(path)
            self._record(kept={"path": Path(item.path).as_posix(), "policy": policy})

    def _journal_alert(self, alert: pb.AlertRecord) -> None:
        self._record(
            alert={
                "title": alert.title,
                "text": alert.text,
                "level": alert.level or "INFO",
                "wait_duration": alert.wait_duration,
            }
        )

    def _journal_preempting(self, preempting: pb.RunPreemptingRecord) -> None:
        self._record(preempting=True)

    def _journal_run(self, run: pb.RunRecord) -> None:
        changed: dict[str, Any] = {}
        if run.display_name != self._run.display_name:
            changed["name"] = run.display_name
        if run.notes != self._run.notes:
            changed["notes"] = run.notes
        if list(run.tags) != list(self._run.tags):
            changed["tags"] = list(run.tags)
        self._run.CopyFrom(run)
        if changed:
            self._record(run=changed)

    def _journal_output_logger(self, output: pb.OutputLoggerRecord) -> None:
        assert self.context is not None
        self.context.keep_console(output.line)

    def _journal_use_artifact(self, use: pb.UseArtifactRecord) -> None:
        self._record(use_artifact=json_format.MessageToDict(use, preserving_proto_field_name=True))

    def _journal_artifact(self, artifact: pb.ArtifactRecord, **answer: str) -> None:
        assert self.context is not None
        kept = pb.ArtifactRecord()
        kept.CopyFrom(artifact)
        keep_artifact(kept, RunDirectory(self.context.dir))
        content = json_format.MessageToDict(kept, preserving_proto_field_name=True)
        self._record(artifact_record={"artifact": content, **answer})

    # ------------------------------------------------------------------ answers

    def _deliver(self, record: pb.Record) -> Answer | FileAnswer:
        kind = record.WhichOneof("record_type")
        result = pb.Result()
        if kind == "run":
            assert self._begin is not None
            self._run.CopyFrom(record.run)
            self.context, self.state = self._begin(self._run)
            result.run_result.run.CopyFrom(self._run)
        elif kind == "exit":
            result.exit_result.SetInParent()
            if not self.end(record.exit.exit_code):
                result.exit_result.timed_out = True
                wandb.termwarn("Timed out finishing run.")
        elif kind == "request":
            return self._answer(record.request, result)
        return Answer(self._asyncer, result)

    async def deliver_async(self, record: pb.Record) -> Answer | FileAnswer:
        """Answer a request that wandb makes in its own thread."""
        return self._deliver(record)

    def _answer(self, request: pb.Request, result: pb.Result) -> Answer | FileAnswer:
        kind = request.WhichOneof("request_type")
        response = result.response
        if kind in _AWAITED:
            return Answer(self._asyncer, result, self._ended)
        if kind == "history_step":
            response.history_step_response.step = self.state.step
        elif kind == "get_summary":
            for name, value in self.state.summary.items():
                item = response.get_summary_response.item.add()
                item.key, item.value_json = name, json_dumps_safer_history(_as_answered(value))
        elif kind == "run_finish_without_exit":  # wandb before 0.26 asks so where the run is to stay "running"
            self.end(0)
        elif kind == "poll_exit":
            response.poll_exit_response.done = True
        elif kind == "run_start":
            response.run_start_response.SetInParent()
        elif kind == "attach":
            response.attach_response.run.CopyFrom(self._run)
        elif kind == "log_artifact":
            return self._log_artifact(request.log_artifact.artifact, result)
        elif kind in _OF_WANDB:
            raise _not_had(kind)
        return Answer(self._asyncer, result)

    def _log_artifact(self, artifact: pb.ArtifactRecord, result: pb.Result) -> Answer | FileAnswer:
        assert self.context is not None
        if self.context.mode != "online":
            self._journal_artifact(artifact)
            result.response.log_artifact_response.SetInParent()
            return Answer(self._asyncer, result)
        name = new_run_id()
        self._journal_artifact(artifact, answer=name)
        return FileAnswer(self._asyncer, RunDirectory(self.context.dir).answers / f"{name}.json")

    def end(self, exit_code: int) -> bool:
        """End the run: close the open row, deliver the rest, and let wandb's own threads end.

        Returns:
            False where :attr:`finish_timeout` was over before W&B held all of it. Delivery continues.
        """
        self.state.close_row(self.state.step + 1)
        if self.context is not None:
            for path in self._linked:
                try:
                    keep_file(path)
                except OSError as error:
                    message = f"{path.name} was saved with policy live or end, and its content cannot be kept: {error}"
                    self.context.sink.note(f"kept:{path.name}", message)
            self.context.finish(exit_code, timeout=self.finish_timeout)
        self._ended.set()
        status = self.context.status if self.context is not None else None
        return self.finish_timeout is None or (status is not None and status.state in ("finished", "incomplete"))


def _not_had(kind: str) -> UsageError:
    """The error to raise for what a journaled run cannot do."""
    reason = _OF_WANDB.get(kind, f"wandb's own process takes {kind!r}")
    return UsageError(
        f"{reason}, and this run is journaled: make the run with plain wandb, and guard it with ups.guard(run)"
    )


def _as_answered(value: Any) -> Any:
    """A value as wandb-core answers it: a whole number in a float comes back as an ``int``."""
    if isinstance(value, dict):
        return {name: _as_answered(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return list(map(_as_answered, value))
    return int(value) if type(value) is float and value.is_integer() and abs(value) < _WHOLE else value


def _path(item: Any) -> list[str]:
    return list(item.nested_key) or [item.key]

"""A W&B session, from ``wandb.init`` to ``finish``: every call that delivery makes to write to a run.

An error of wandb while a session is open means that the session is over: its backend process has died, or the server
has refused permanently. It becomes :class:`SessionLost`, and delivery opens the next session from the journal.
"""

import contextlib
import gzip
import json
import os
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import psutil

from ups.delivery.backend import alive, end_backend, ending_backend_after, running_backend
from ups.delivery.wandb_errors import Refused, SessionLost, error_text, losing
from ups.durable import write_atomically
from ups.installed_wandb import load_wandb
from ups.journal.row_rule import Row
from ups.journal.run_directory import ProcessStart, RunDirectory
from ups.journal.run_manifest import RunManifest
from ups.journal.untrusted import LARGEST, parse

__all__ = ["Session"]

_MOST_ROWS = 1_000_000  # of a table; W&B itself shows 200,000
_LONGEST_ENTRY = 1024 * 1024  # bytes of a line of a manifest
_LARGEST_MANIFEST = 4 * 1024**3  # bytes, of some ten million files
_FINISH_TIMEOUT = 900.0  # seconds; by default wandb waits for ever
_INIT_TIMEOUT = 60.0  # seconds


class Session:
    """An open W&B run.

    Args:
        directory: The run's directory; W&B's files go below its ``wandb``.
        manifest: Who the run is.
        mode: ``online`` or ``offline``.
        start: The process whose system metrics are the run's.
        by_trainer: Whether the training itself started this delivery, so that the files that it names are its own.
        own_process: Whether this process does nothing but deliver, so that it may stand for the training process.

    Attributes:
        next_step: The lowest W&B step that the server still takes; 0 offline.
        resumed: Whether the server knew the run.
        backend: The processes that wandb runs for this session: (process id, start time).
        lacking: The capabilities that this wandb lacks for the session, with a message each.

    Raises:
        SessionLost: wandb cannot open the run now.
        MissingDependency: There is no wandb that UPS can use.
    """

    def __init__(
        self,
        directory: RunDirectory,
        manifest: RunManifest,
        mode: str,
        *,
        start: ProcessStart | None,
        by_trainer: bool,
        own_process: bool,
    ) -> None:
        if own_process:
            _ensure_home(directory)
            # wandb 0.31 times every row for its makers, which takes a quarter of run.log; read once, when it starts.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
            os.environ.pop("WANDB_MODE", None)  # the mode is given, and UPS's own ("local") would be refused
            if manifest.program:
                sys.argv = [manifest.program, *manifest.arguments]
        self._own_process = own_process
        self._defined: set[str] = set()
        self._stop = threading.Event()
        self._installed = load_wandb()
        import wandb

        self._wandb = wandb
        self.lacking = self._installed.lacking(own_process=own_process) if mode == "online" else {}
        settings = _settings(manifest, start, self._stop.set, by_trainer=by_trainer, own_process=own_process)
        settings = {name: value for name, value in settings.items() if name in self._installed.settings}
        if own_process and "stop_fn" not in settings:
            _redirect_stop(self._stop.set)
        of_artifacts = {name: value for name, value in manifest.config.items() if _names_artifact(value)}
        config = {name: value for name, value in manifest.config.items() if name not in of_artifacts}
        try:
            with losing("open the run"), _environment(manifest.environment):
                self._run = wandb.init(
                    id=manifest.run_id,
                    project=manifest.project,
                    entity=manifest.entity,
                    name=manifest.name,
                    tags=manifest.tags or None,
                    group=manifest.group,
                    config=config,
                    dir=str(directory.path),
                    mode=mode,  # type: ignore[arg-type]
                    resume="allow" if mode == "online" else None,
                    reinit="create_new",
                    settings=wandb.Settings(**settings),
                )
                # Follows the server's last row or its summary, whichever is ahead; rows below it are dropped.
                self.next_step = int(self._run.starting_step)
                self.resumed = bool(self._run.resumed)
                for name, value in of_artifacts.items():
                    self._run._config_callback(key=name, val=value)
        except SessionLost:
            self.abandon()
            raise
        self.backend = running_backend()
        if mode == "online":
            for segment in directory.segments():
                # The server has its rows, or gets them from the journal: 'wandb sync' would double them.
                segment.with_name(f"{segment.name}.synced").touch()

    @property
    def url(self) -> str | None:
        """The address of the run's page; None offline."""
        return None if self._run.offline else self._run.url

    @property
    def project(self) -> str:
        """The project, as W&B resolved it."""
        return self._run.project

    @property
    def entity(self) -> str:
        """The entity, as W&B resolved it; empty offline where none was given."""
        return self._run.entity

    @property
    def name(self) -> str | None:
        """The name of the run, which the server chooses where none was given."""
        return self._run.name

    @property
    def folder(self) -> Path:
        """The folder of W&B's files of this session."""
        return Path(self._run.dir).parent

    @property
    def stop_requested(self) -> bool:
        """True where W&B has asked to stop: by its Stop button, or because an upload has failed permanently."""
        return self._stop.is_set()

    def ignore_stop(self) -> None:
        """Forget that W&B asked to stop."""
        self._stop.clear()

    def check(self) -> None:
        """Raise :class:`SessionLost` if wandb's backend has died."""
        if len(alive(self.backend)) < len(self.backend):
            raise SessionLost("wandb's backend process has died")

    def log(self, row: Row, number: int) -> None:
        """Hand a row over as W&B's step ``number``, with its metrics defined first."""
        with losing("log a row"):
            if row.axis is not None:
                self._define(row.axis, row.values)
            self._run.log({**row.values, "_timestamp": row.time}, step=number, commit=True)

    def log_table(self, name: str, path: Path, place: Mapping[str, int], number: int) -> None:
        """Hand over a table that was written to ``path``, with the step metric of its ``place``, if it has one."""
        with self._refusing("a table"):
            content = _table_in(path)
            table = self._wandb.Table(columns=content["columns"], data=content["rows"], allow_mixed_types=True)
            self._log_medium(name, table, place, number)

    def log_images(
        self, name: str, images: Sequence[tuple[Path, str | None]], place: Mapping[str, int], number: int
    ) -> None:
        """Hand over the images in files, each with its caption; as for :meth:`log_table`."""
        if find_spec("PIL") is None:
            raise Refused("an image", "wandb needs Pillow for it: pip install 'ups-tracking[media]'")
        with self._refusing("an image"):
            made = [self._wandb.Image(str(path), caption=caption) for path, caption in images]
            self._log_medium(name, made if len(made) > 1 else made[0], place, number)

    def _log_medium(self, name: str, medium: Any, place: Mapping[str, int], number: int) -> None:
        for axis in place:
            self._define(axis, [name])
        self._run.log({name: medium, **place}, step=number, commit=True)

    def update_summary(self, values: dict[str, Any]) -> None:
        """Set summary values."""
        with self._refusing("a summary value"):
            self._run.summary.update(values)

    def change_summary(self, update: Iterable[tuple[Sequence[str], Any]], remove: Iterable[Sequence[str]]) -> None:
        """Set values at paths of the summary, and remove others."""
        from wandb.proto.wandb_internal_pb2 import SummaryRecord

        with self._refusing("a summary value"):
            record = SummaryRecord()
            for path, value in update:
                item = record.update.add(value_json=json.dumps(value))
                if len(path) > 1:
                    item.nested_key.extend(path)
                else:
                    item.key = path[0]
            for path in remove:
                item = record.remove.add()
                if len(path) > 1:
                    item.nested_key.extend(path)
                else:
                    item.key = path[0]
            if record.update or record.remove:
                self._interface()._publish_summary(record)

    def define_metric(self, **definition: Any) -> None:
        """Make a script's definition of a metric, as far as this wandb knows its arguments."""
        with self._refusing("a definition"):
            known = signature(self._run.define_metric).parameters
            self._run.define_metric(**{name: value for name, value in definition.items() if name in known})

    def set_config(self, path: tuple[str, ...], value: Any) -> None:
        """Set a configuration value at a path."""
        with self._refusing("a configuration value"):
            if len(path) > 1 or _names_artifact(value):
                self._run._config_callback(key=path, val=value)
            else:  # the run keeps it too: it sends its whole configuration when its name is set
                self._run.config.update({path[0]: value}, allow_val_change=True)  # type: ignore[no-untyped-call]

    def describe(self, **described: Any) -> None:
        """Set the run's name, notes or tags."""
        with self._refusing("the run's description"):
            for name, value in described.items():
                setattr(self._run, name, tuple(value) if name == "tags" else value)

    def keep_file(self, path: Path, name: str, policy: str) -> None:
        """Put a file among the run's own under ``name``, and have it uploaded; a link is followed while it changes."""
        with self._refusing("a file"):
            target = Path(self._run.dir, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            if path.is_symlink():
                target.symlink_to(path.resolve())
            else:
                try:
                    os.link(path, target)
                except OSError:
                    shutil.copy2(path, target)
            self._interface().publish_files({"files": [(name, policy)]})

    def mark_preempting(self) -> None:
        """Note that the machine is about to be taken away."""
        with self._refusing("the mark of a preemption"):
            self._run.mark_preempting()

    def update_config(self, values: dict[str, Any]) -> None:
        """Set configuration values."""
        for name, value in values.items():
            self.set_config((name,), value)

    def add_tags(self, tags: list[str]) -> None:
        """Add tags."""
        with self._refusing("tags"):
            self._run.tags = tuple(dict.fromkeys((*(self._run.tags or ()), *tags)))

    def save_file(self, path: Path, base: Path) -> None:
        """Save a file with the run, under its path relative to ``base``."""
        with self._refusing("a saved file"):
            self._run.save(str(path), base_path=str(base), policy="now")

    def log_artifact(self, path: Path, name: str, type_: str) -> None:
        """Log a file or a folder as an artifact."""
        with self._refusing("an artifact"):
            self._run.log_artifact(str(path), name=name, type=type_)

    def log_artifact_record(
        self, given: dict[str, Any], inside: Callable[[str], Path], made: Path, answer: Path | None
    ) -> None:
        """Log an artifact as a script's wandb has made it, with its ids.

        Args:
            given: wandb's own record of it, as JSON.
            inside: Resolves the path of its content; refuses one outside the run.
            made: A folder for a manifest that is a file of its own.
            answer: The file that W&B's answer is written to, when it has come; None where none is awaited.
        """
        from google.protobuf import json_format
        from wandb.proto.wandb_internal_pb2 import ArtifactRecord, LogArtifactRequest

        with self._refusing("an artifact"):
            artifact = json_format.ParseDict(given, ArtifactRecord(), ignore_unknown_fields=True)
            artifact.run_id, artifact.project, artifact.entity = self._run.id, self.project, self.entity
            manifest = artifact.manifest
            for entry in manifest.contents:
                if entry.local_path:
                    entry.local_path = str(inside(entry.local_path))
            if manifest.manifest_file_path:
                manifest.manifest_file_path = str(_manifest_in(inside(manifest.manifest_file_path), inside, made))
            if answer is None or self._run.offline:
                self._interface()._publish_artifact(artifact)
                return
            handle = self._interface()._deliver_artifact(LogArtifactRequest(artifact=artifact))
        threading.Thread(target=_write_answer, args=(handle, answer), daemon=True).start()

    def use_artifact(self, id_: str, type_: str, name: str) -> None:
        """Note that the run uses an artifact."""
        from wandb.proto.wandb_internal_pb2 import UseArtifactRecord

        with self._refusing("the use of an artifact"):
            self._interface()._publish_use_artifact(UseArtifactRecord(id=id_, type=type_, name=name))

    def alert(self, title: str, text: str, level: str, wait_duration: float | None = None) -> None:
        """Send an alert, unless one of its title was sent less than ``wait_duration`` seconds ago."""
        with self._refusing("an alert"):
            self._run.alert(title=title, text=text, level=level, wait_duration=wait_duration)

    def write_console(self, text: str) -> None:
        """Add to the run's console log."""
        with losing("write the console log"):
            if self._installed.writes_logs:
                self._run.write_logs(text)
            else:  # as if this process had printed it
                self._run._console_raw_callback("stdout", text if text.endswith("\n") else f"{text}\n")

    def finish(self, exit_code: int) -> None:
        """Close the run and wait until wandb has let go of its data. The session is over after this.

        ``run.finish()`` alone may return before wandb-core has written its last block.
        """
        exit_code = max(-(2**31), min(exit_code, 2**31 - 1))  # wandb-core takes 32 bits
        with losing("finish the run"), self._in_time():
            self._run.finish(exit_code=exit_code)
            if self._own_process:
                self._wandb.teardown(exit_code=exit_code)

    def abandon(self) -> None:
        """Give up a lost session: end wandb's backend, so that the next session starts clean."""
        end_backend(running_backend(), patience=0.2)
        with contextlib.suppress(SessionLost), losing("tear wandb down"):
            self._wandb.teardown(exit_code=1)

    def _interface(self) -> Any:
        """The way to wandb-core for records that no public call makes; wandb before 0.26 wraps it."""
        return self._run._interface if hasattr(self._run, "_interface") else self._run._backend.interface  # type: ignore[attr-defined]

    def _in_time(self) -> contextlib.AbstractContextManager[None]:
        """End wandb's backend where it takes too long to finish, and wandb has no time limit of its own."""
        if "finish_timeout" in self._installed.settings:
            return contextlib.nullcontext()
        return ending_backend_after(_FINISH_TIMEOUT, self.backend)

    @contextlib.contextmanager
    def _refusing(self, what: str) -> Iterator[None]:
        """Turn an error about ``what`` itself into :class:`Refused`, and one about the connection into SessionLost."""
        try:
            yield
        except Refused:
            raise
        except ConnectionError as error:
            raise SessionLost(f"wandb could not take {what}: {error}") from error
        except Exception as error:
            self.check()
            raise Refused(what, error_text(error)) from error

    def _define(self, axis: str, names: Iterable[str]) -> None:
        for name in (axis, *names):
            if name not in self._defined:
                self._defined.add(name)
                if name == axis:
                    self._run.define_metric(name, hidden=True)
                else:
                    self._run.define_metric(name, step_metric=axis, step_sync=False)


def _names_artifact(value: Any) -> bool:
    """True where a configuration value names an artifact, in text or as wandb's own object.

    ``run.config`` would ask a server about it: for a text, the one that the text names, with the user's key.
    """
    if isinstance(value, dict):
        return value.get("_type") == "artifactVersion" or any(map(_names_artifact, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_names_artifact, value))
    return isinstance(value, str) and value.startswith("wandb-artifact://")


def _redirect_stop(stop: Callable[[], None]) -> None:
    """Have a wandb without ``stop_fn`` call ``stop`` where it would send this process the signal of Ctrl-C."""
    from wandb.sdk.lib import interrupt

    interrupt.interrupt_main = stop


def _settings(
    manifest: RunManifest, start: ProcessStart | None, stop: Any, *, by_trainer: bool, own_process: bool
) -> dict[str, Any]:
    settings: dict[str, Any] = {"stop_fn": stop, "stop_on_fatal_error": True, "init_timeout": _INIT_TIMEOUT}
    settings["finish_timeout"] = _FINISH_TIMEOUT
    if not own_process:
        return settings | {"silent": True}
    if "WANDB_CONSOLE" not in os.environ:
        settings["console"] = "wrap"
    settings |= {
        "silent": True,
        "host": manifest.host,
        "x_executable": manifest.executable,
        "program": manifest.program,
        "program_relpath": manifest.program_path,
        "program_abspath": manifest.program,
        "git_commit": manifest.git_commit,
        "git_remote_url": manifest.git_remote,
    }
    if by_trainer:
        settings["git_root"] = manifest.git_root
    else:  # the run may name any program and checkout of this machine, and W&B would save their content
        settings["save_code"] = False
    if start is not None and start.host == socket.gethostname() and psutil.pid_exists(start.pid):
        settings["x_stats_pid"] = start.pid
    else:  # the training does not run on this machine
        settings["x_disable_stats"] = True
    return {name: value for name, value in settings.items() if value is not None}


def _write_answer(handle: Any, path: Path) -> None:
    """Write W&B's answer when it comes; a session that is lost leaves none, and the next one asks again."""
    from google.protobuf import json_format

    try:
        result = handle.wait_or(timeout=None)
        write_atomically(path, json.dumps(json_format.MessageToDict(result)) + "\n")
    except Exception as error:  # noqa: BLE001 - of another thread, where nobody could take it
        print(f"no answer about an artifact: {error_text(error)}", file=sys.stderr)


def _manifest_in(path: Path, inside: Callable[[str], Path], folder: Path) -> Path:
    """Write a manifest that is a file of its own with each path of content resolved by ``inside``; wandb removes it."""
    target = folder / path.name
    target.unlink(missing_ok=True)
    read = 0
    with gzip.open(path, "rb") as lines, gzip.open(target, "wb") as written:
        while line := lines.readline(_LONGEST_ENTRY):
            entry = parse(line)
            read += len(line)
            if not isinstance(entry, dict) or read > _LARGEST_MANIFEST:
                raise ValueError(f"{path} is not a manifest, or has more than {_LARGEST_MANIFEST:,} bytes")
            if "local_path" in entry:
                entry["local_path"] = str(inside(str(entry["local_path"])))
            written.write(json.dumps(entry).encode() + b"\n")
    return target


def _table_in(path: Path) -> Any:
    """The table in a file that :func:`ups.tracking.media.keep_table` wrote.

    Raises:
        ValueError: It is larger than a table is.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has more than {LARGEST:,} bytes")
    content = path.read_bytes()
    if content.count(b"[") + content.count(b"{") > _MOST_ROWS:
        raise ValueError(f"{path} has more than {_MOST_ROWS:,} rows")
    return parse(content)


def _ensure_home(directory: RunDirectory) -> None:
    """Give wandb a home directory where the user has none, as in a container that runs under a bare number."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(directory.delivery)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set ``variables`` for a while where the environment has no value for them."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)

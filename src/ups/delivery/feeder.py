"""Entries of the journals → the calls of a session: numbered rows, media, summary and the rest."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ups.delivery.server import EVERY_ROW
from ups.delivery.session import Session
from ups.delivery.wandb_errors import Refused
from ups.errors import RunDirectoryError
from ups.journal.ledger import JournalSpan, Ledger
from ups.journal.row_reader import Entry, RowReader
from ups.journal.row_rule import Row
from ups.journal.run_directory import RunDirectory
from ups.journal.script_summary import leaves
from ups.journal.untrusted import check_folder, path_inside

__all__ = ["Feeder"]


_DESCRIBED = ("name", "notes", "tags")


class Feeder:
    """Takes entries of the journals, in order, and gives a session those that W&B lacks.

    The ledger has the number of each row, of which W&B holds the first ``held``, and the cursor of everything that has
    none. ``on_end`` is called with a process, a time and an exit code for each end that is journaled; ``on_refusal``
    with each thing that wandb refuses, of which it takes the rest.

    ``by_trainer`` says whether the training itself started this delivery, so that links to its files may be followed.

    Attributes:
        rows: The number of rows so far, up to the last that W&B holds or has taken.
        gone: The number of rows that the journals have lost since they were taken up.
        expected: The number of rows with each metric, and of all, without tables and images.
    """

    def __init__(
        self,
        session: Session,
        journals: RowReader,
        directory: RunDirectory,
        ledger: Ledger,
        held: int,
        *,
        on_end: Callable[[str, float, int], None],
        on_refusal: Callable[[Refused], None],
        by_trainer: bool = False,
    ) -> None:
        self.session = session
        self.journals = journals
        self.directory = directory
        self.ledger = ledger
        self._on_end = on_end
        self._on_refusal = on_refusal
        self.rows = self.gone = 0
        self.expected: Counter[str] = Counter()
        self._seen = 0
        self._held = held
        self._summary: dict[str, Any] = {}
        self._by_trainer = by_trainer
        self._kept: dict[str, int] = {}  # by process: how far its files were kept

    def take(self, entries: Iterable[Entry]) -> None:
        """Hand over the next entries of a journal."""
        for entry in entries:
            try:
                if entry.row is not None:
                    self._take_row(entry.row)
                elif entry.numbered:
                    self._take_media(entry.record)
                else:
                    self._take_other(entry.process, entry.record, entry.offset)
            except Refused as refused:
                self._on_refusal(refused)

    def take_span(self, span: JournalSpan) -> Iterator[None]:
        """Hand over a span of the ledger, a record at each step.

        Rows that the journal has lost since keep their numbers: W&B may hold them.
        """
        first = self._seen
        for entries in self.journals.read_span(span):
            self.take(entries)
            yield
        if span.rows is not None and self._seen < first + span.rows:
            self.gone += first + span.rows - self._seen
            self.rows = self._seen = first + span.rows

    @property
    def skipped_values(self) -> dict[str, int]:
        """The number of values of each stage that are not drawn, since their step went back."""
        return dict(self.journals.rule.skipped_values)

    @property
    def notices(self) -> list[str]:
        """The changes that the guard has made to the rows of a script, as lines."""
        script = self.journals.script
        return script.notices if script is not None else []

    def restore_summary(self) -> None:
        """Set the summary of the rows that earlier sessions delivered, which a new session does not know."""
        if not self._held:
            return
        last = self.journals.rule.last
        media = {name: value for name, value in last.items() if isinstance(value, dict | list)}
        plain = {name: value for name, value in last.items() if name not in media}
        self._trying(lambda: self.session.update_summary({**plain, **self._summary}))
        if media:
            self._trying(lambda: self.session.change_summary(leaves(media), ()))
        if (script := self.journals.script) is not None:
            self._trying(lambda: self.session.change_summary(script.summary.plain(), ()))

    def complete_summary(self) -> None:
        """Set the aggregates over all rows, of which a session that begins again has seen only its own."""
        script = self.journals.script
        if self._held and script is not None:
            self._trying(lambda: self.session.change_summary(script.summary.aggregates(), ()))

    def finished(self) -> None:
        """Note that the session has ended well, so that W&B has every file that it was given."""
        for process, offset in self._kept.items():
            self.ledger.cursor.set(f"kept/{process}", offset)

    def _trying(self, give: Callable[[], None]) -> None:
        try:
            give()
        except Refused as refused:
            self._on_refusal(refused)

    def _next(self) -> int | None:
        """The next row's number; None where W&B holds that row already."""
        row = self._seen
        self._seen += 1
        if row < self._held:
            self.rows = self._seen
            return None
        return self.ledger.number(row)

    def _take_row(self, row: Row) -> None:
        self.expected.update((EVERY_ROW, *_counted(row.values)))
        number = self._next()
        if number is not None:
            self.session.log(row, number)
            self.rows = self._seen

    def _take_media(self, record: dict[str, Any]) -> None:
        name, place = self.journals.rule.medium(record)
        number = self._next()
        if number is None:
            return
        if "table" in record:
            path = self._inside(record["path"], f"the table {name!r}")
            self.session.log_table(name, path, place, number)
        else:
            images = [
                (self._inside(image["path"], f"the image {name!r}"), image.get("caption"))
                for image in (record, *record.get("more", ()))
            ]
            self.session.log_images(name, images, place, number)
        self.rows = self._seen

    def _take_other(self, process: str, record: dict[str, Any], offset: int) -> None:
        if "summary" in record:
            self._summary.update(record["summary"])
            self.session.update_summary(record["summary"])
        elif "config" in record:
            self.session.update_config(record["config"])
        elif "tags" in record:
            self.session.add_tags(record["tags"])
        elif "metric" in record:
            self.session.define_metric(**record["metric"])
        elif "config_item" in record:
            item = record["config_item"]
            self.session.set_config(tuple(item["path"]), item["value"])
        elif "summary_items" in record:
            changes = record["summary_items"]
            self.session.change_summary(changes.get("update", ()), changes.get("remove", ()))
        elif "run" in record:
            self.session.describe(**{name: value for name, value in record["run"].items() if name in _DESCRIBED})
        elif "kept" in record:
            self._keep(process, record["kept"], offset)
        elif "end" in record:
            self._on_end(process, record["time"], record["end"]["exit_code"])
        elif offset > self.ledger.cursor.get(f"journal/{process}") or self._is_awaited(record):
            self._take_once(record)
            self.ledger.cursor.set(f"journal/{process}", max(offset, self.ledger.cursor.get(f"journal/{process}")))

    def _take_once(self, record: dict[str, Any]) -> None:
        """Hand over something that would show twice if it were given twice."""
        if "alert" in record:
            alert = record["alert"]
            self.session.alert(alert["title"], alert["text"], alert["level"], alert.get("wait_duration"))
        elif "artifact_record" in record:
            given = record["artifact_record"]
            artifact, answer = given["artifact"], self._answer_of(given)
            what = f"the artifact {artifact['name']!r}"
            made = self._own_folder(self.directory.manifests)
            self.session.log_artifact_record(artifact, lambda path: self._content(path, what), made, answer)
        elif "use_artifact" in record:
            used = record["use_artifact"]
            self.session.use_artifact(used["id"], used["type"], used["name"])
        elif "preempting" in record:
            self.session.mark_preempting()
        elif "artifact" in record:
            artifact = record["artifact"]
            path = self._inside(artifact["path"], f"the artifact {artifact['name']!r}")
            self.session.log_artifact(path, artifact["name"], artifact["type"])
        elif "file" in record:
            base, name = record["file"]["base"], record["file"]["name"]
            path = self._inside(f"{base}/{name}", f"the file {name!r}")
            self.session.save_file(path, self._inside(base, "its folder"))

    def _is_awaited(self, record: dict[str, Any]) -> bool:
        """True where a script waits for an answer that no session has had."""
        given = record.get("artifact_record", {})
        return "answer" in given and not (self.directory.answers / f"{given['answer']}.json").exists()

    def _answer_of(self, given: dict[str, Any]) -> Path | None:
        """The file of the answer about an artifact; None where none is awaited."""
        return self._own_folder(self.directory.answers) / f"{given['answer']}.json" if "answer" in given else None

    def _own_folder(self, folder: Path) -> Path:
        """A folder of delivery's own, made where it is missing.

        Raises:
            Refused: It is a link.
        """
        if folder.is_symlink():
            raise Refused("an artifact", f"{folder} is a link: it is left alone")
        folder.mkdir(exist_ok=True)
        return folder

    def _content(self, relative: str, what: str) -> Path:
        """A file of a script's artifacts.

        Raises:
            Refused: It lies elsewhere.
        """
        path = self._inside(relative, what)
        if not path.is_relative_to(self.directory.artifacts.resolve()):
            raise Refused(what, f"{relative} is not a path in {self.directory.artifacts}")
        return path

    def _keep(self, process: str, kept: dict[str, str], offset: int) -> None:
        """Keep a file of the script's with the run.

        Where a session was lost, it is given again: W&B may not have all of it.
        """
        if offset <= self.ledger.cursor.get(f"kept/{process}"):
            return
        self._kept[process] = offset
        name = kept["path"]
        path = self.directory.files / name
        what = f"the file {name!r}"
        if path.is_symlink() and not self._by_trainer:
            raise Refused("a file behind a link", f"{path} is a link, which is followed only while the script runs")
        if not path.is_symlink() or not self._by_trainer:
            path = self._inside(path.relative_to(self.directory.path).as_posix(), what)
        elif not path.is_file():
            raise Refused(what, f"{path} leads to no file")
        self.session.keep_file(path, name, kept["policy"])

    def _inside(self, relative: str, what: str) -> Path:
        """A file or folder of the run, by its path in the run's directory: W&B is given nothing from outside it.

        Raises:
            Refused: The path leads out of the directory, or does not exist.
        """
        path = self.directory.path / relative
        try:
            if Path(relative).is_absolute():
                raise RunDirectoryError(f"{relative} is not a path in the run's directory")
            resolved = path_inside(path, self.directory.path)
            if resolved.is_dir():
                check_folder(path, self.directory.path)
            elif not resolved.is_file():
                raise RunDirectoryError(f"{path} is not a regular file: it is left alone")
        except (OSError, RunDirectoryError) as error:
            raise Refused(what, str(error)) from error
        return resolved


def _counted(values: dict[str, Any]) -> list[str]:
    """The names of a row that a server counts under these names: those of numbers."""
    return [name for name, value in values.items() if type(value) in (int, float) and not name.startswith("_")]

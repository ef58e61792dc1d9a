"""One run, opened: its charts and their points, its tables and images, as far as they were read. No HTTP here."""

import csv
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ups.check import check_run
from ups.dashboard.downsample import downsample, line_of, origin_and_digits, seconds_of
from ups.dashboard.encoding import plain
from ups.dashboard.media_files import Table, Unknown, read_image, read_table
from ups.dashboard.run_card import Card, card_of, judged_card
from ups.dashboard.verdicts import Judged, judge
from ups.runfile import Run
from ups.runs import FoundRun, find_run
from ups.runs.reading import open_source
from ups.runs.source import Medium
from ups.text import spreadsheet_text

__all__ = ["VIEWS", "OpenedRun", "Unknown", "health_of", "open_path"]

VIEWS = ("wandb", "meant")
_MOST_PIXELS = 10_000
_CSV_ROWS = 10_000  # at a time
_TABLES_SHOWN = 200
_MOST_DRAWN = 500  # lines that are kept for the next browser
_A_WHILE = 0.2  # seconds


def open_path(path: Path) -> "OpenedRun":
    """Open the one run at ``path``, with nothing read yet.

    Raises:
        RunDirectoryError, RunFileError: There is no run, or more than one, or it cannot be read.
    """
    return OpenedRun(find_run(path))


def health_of(found: FoundRun, stop: Callable[[], bool]) -> Card | None:
    """Read and check a run for its card; None if ``stop`` gave True on the way.

    Raises:
        RunDirectoryError, RunFileError: It cannot be read.
    """
    source = open_source(found)
    try:
        while source.advance(_A_WHILE) or source.read < 1.0:
            if stop():
                return None
        return judged_card(card_of(found), source.run, check_run(source.run))
    finally:
        source.close()


class OpenedRun:
    """A run that is read bit by bit, and what a page shows of it.

    Attributes:
        judged: The last verdicts; None before the first.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """

    def __init__(self, found: FoundRun) -> None:
        self.found = found
        self.judged: Judged | None = None
        self.card: Card = card_of(found)
        self._source = open_source(found)
        self._published: tuple[Run, float, dict[str, Any]] | None = None  # with the share read, and the summary
        self._read = 0.0  # the share that is judged
        self._summary: dict[str, Any] = {}
        self._media: list[Medium] = []
        self._tables: dict[
            Path, tuple[list[str], int, bool]
        ] = {}  # the columns and rows of each, and True if it has more
        self._drawn: dict[tuple[object, ...], dict[str, Any]] = {}  # whole lines, until there is more to show

    @property
    def run(self) -> Run | None:
        """The run as it was when last published; it does not change. None before that."""
        return None if self._published is None else self._published[0]

    @property
    def generation(self) -> int:
        """A number that changes when the points that were there are no longer the first ones."""
        return self._source.generation

    def reads_other_files(self, found: FoundRun) -> bool:
        """True where the run, as it was found now, has files that this one does not read."""
        return not self._source.journaled and found.files != self.found.files

    def read_all(self) -> None:
        """Read everything, and judge it.

        Raises:
            RunDirectoryError, RunFileError: The run cannot be read.
        """
        while self.advance(60.0) or self._source.read < 1.0:
            pass
        self.publish()
        self.judge()

    def advance(self, seconds: float) -> bool:
        """Read for about as many seconds; True where anything was new.

        Raises:
            RunDirectoryError, RunFileError: The run cannot be read.
        """
        return self._source.advance(seconds)

    @property
    def read(self) -> float:
        """The share of the run that was read, from 0 to 1."""
        return self._source.read

    def publish(self) -> None:
        """Show what was read so far."""
        run, read = self._source.run.as_it_is(), self._source.read
        self._published = run, read, _flat(plain(self._source.summary())) if read == 1.0 else self._summary
        self._drawn = {}

    def judge(self) -> float:
        """Judge what is shown. Returns the seconds that it took."""
        began = time.monotonic()
        assert self._published is not None
        run, read, summary = self._published
        judged = judge(run, journaled=self._source.journaled)
        card = judged_card(card_of(self.found), run, judged.check)
        if read == 1.0:
            media = self._source.media()
            self._count_tables(media)
        else:
            media = self._media
        # Together: a browser may ask at any time.
        self.judged, self.card, self._read, self._summary, self._media = judged, card, read, summary, media
        self._drawn = {}
        return time.monotonic() - began

    def view(self, name: str) -> Run:
        """The run as a view draws it.

        Raises:
            Unknown: The view does not exist.
        """
        if name not in VIEWS:
            raise Unknown(f"there is no view {name!r}: choose 'wandb' or 'meant'")
        if self.run is None:
            raise Unknown("nothing was read of the run yet")
        return self.judged.meant if name == "meant" and self.judged is not None and self.judged.differs else self.run

    def as_data(self) -> dict[str, Any]:
        """The run as JSON has it, without points."""
        judged = self.judged
        charts = judged.charts if judged is not None else {view: [] for view in VIEWS}
        run = self._source.run if self.run is None else self.run
        return {
            "card": self.card.as_data(),
            "read": round(self._read, 3),
            "views": charts,
            "differs": judged is not None and judged.differs,
            "findings": [] if judged is None else judged.findings,
            "summary": self._summary,
            "config": plain(run.config),
            "tables": [self._table_data(number, medium) for number, medium in _newest_tables(self._media)],
            "images": [
                {"id": str(index), "name": medium.name, "caption": medium.caption, "time": medium.time}
                for index, medium in enumerate(self._media)
                if medium.kind == "image"
            ],
        }

    def series(
        self,
        view: str,
        metric: str,
        *,
        by_time: bool = False,
        pixels: int = 600,
        begin: float | None = None,
        end: float | None = None,
    ) -> dict[str, Any]:
        """A chart's points as JSON has them, reduced to its width in pixels.

        With ``by_time``, x is seconds since the run's first row, in place of the chart's axis. ``begin`` and ``end`` of
        the part that is wanted count as the points' x does.

        Raises:
            Unknown: The view does not exist.
        """
        kept, asked = self._drawn, (view, metric, by_time, pixels, begin, end)
        if asked in kept:
            return kept[asked]
        run = self.view(view)
        line = line_of(run, metric, by_time=by_time)
        points = downsample(
            line.drawn_x,
            line.drawn_y,
            max(1, min(pixels, _MOST_PIXELS)),
            begin=-np.inf if begin is None else begin,
            end=np.inf if end is None else end,
        )
        drawn = {
            "metric": metric,
            "axis": run.axis(metric).metric,
            "total": points.total,
            "exact": points.exact,
            "x": points.x,
            "y": points.y,
            **origin_and_digits(line, points.places),
            "breaks": points.breaks,
            "marks": points.marks(),
            "course": None if points.course is None else vars(points.course),
            "end": line.end,
        }
        if len(kept) < _MOST_DRAWN:
            kept[asked] = drawn
        return drawn

    def csv(self, view: str, metric: str) -> Iterator[str]:
        """Write all points of a chart as the lines of a CSV file, some thousand at a time.

        Raises:
            Unknown: The view or the metric does not exist.
        """
        run = self.view(view)
        if run.column(metric) is None:
            raise Unknown(f"the run has no metric {metric!r}")
        line = line_of(run, metric)
        seconds = seconds_of(run, line.rows)
        yield _csv_lines([(spreadsheet_text(run.axis(metric).metric), "seconds", spreadsheet_text(metric))])
        for low in range(0, len(line.y), _CSV_ROWS):
            part = slice(low, low + _CSV_ROWS)
            yield _csv_lines(zip(line.x[part].tolist(), seconds[part].tolist(), line.y[part].tolist(), strict=True))

    def table(self, number: str) -> dict[str, Any]:
        """Read a table; of one that is very long, the first rows.

        Raises:
            Unknown: It does not exist, or cannot be read.
        """
        medium = self._medium(number, "table")
        table = read_table(medium, self._homes())
        return {"name": medium.name, **table._asdict(), "rows": plain(table.rows)}

    def image(self, number: str) -> tuple[bytes, str]:
        """Read an image: its bytes, and its content type by their beginning.

        Raises:
            Unknown: It does not exist, or a browser does not show its type.
        """
        return read_image(self._medium(number, "image"), self._homes())

    def close(self) -> None:
        """Close its files."""
        self._source.close()

    def _medium(self, number: str, kind: str) -> Medium:
        medium = self._media[int(number)] if number.isdecimal() and int(number) < len(self._media) else None
        if medium is None or medium.kind != kind:
            raise Unknown(f"the run has no {kind} {number!r}")
        return medium

    def _homes(self) -> list[Path]:
        """The folders in which the run's tables and images must lie."""
        if self.found.directory is not None:
            return [self.found.directory.resolve()]
        return [file.parent.resolve() for file in self.found.files]

    def _count_tables(self, media: list[Medium]) -> None:
        """Take note of the columns and rows of each table that is new."""
        for _, medium in _newest_tables(media):
            if medium.path not in self._tables:
                try:
                    table = read_table(medium, self._homes())
                except Unknown:
                    table = Table([], [], partial=False)
                self._tables[medium.path] = table.columns, len(table.rows), table.partial

    def _table_data(self, number: int, medium: Medium) -> dict[str, Any]:
        columns, rows, partial = self._tables[medium.path]
        about = {"id": str(number), "name": medium.name, "time": medium.time}
        return {**about, "columns": columns, "rows": rows, "partial": partial}


def _newest_tables(media: list[Medium]) -> list[tuple[int, Medium]]:
    """The tables that are shown, each with its number."""
    return [(number, medium) for number, medium in enumerate(media) if medium.kind == "table"][-_TABLES_SHOWN:]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Make one dictionary of nested ones, the keys joined by dots; without media, and without W&B's own values."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if key.startswith("_") or (isinstance(value, dict) and "_type" in value):
            continue
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _csv_lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()

"""An opened run, followed while it grows: once for all browsers that show it."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.responses import StreamingResponse

from ups.dashboard.downsample import MARK_KINDS, line_of, mark_kinds, origin_and_digits, seconds_of
from ups.dashboard.encoding import as_json
from ups.dashboard.events import Channel
from ups.dashboard.opened_run import VIEWS, OpenedRun
from ups.dashboard.run_card import unreadable_card
from ups.errors import UPSError
from ups.runfile import Run
from ups.runs import FoundRun

__all__ = ["LiveRun"]

_POLL = 0.1  # seconds between two looks at the files while somebody listens
_POLL_ALONE = 1.0
_AT_ONCE = 0.15  # seconds of reading between two looks at the clock
_MOST_POINTS = 400  # per chart and message; with more a browser asks for the line again
_JUDGE_EVERY = 1.0  # seconds
_JUDGE_SHARE = 8  # the pause after judging is this many times the time that it took


class LiveRun:
    """Follows one run, judges it now and then, and sends what is new to the browsers that listen.

    ``on_card`` is called when the run was judged again.

    Attributes:
        used: When a browser last asked for it, by the monotonic clock.
        problem: The reason why it cannot be read any further; None if it can.
        gone: True once it was deleted.

    Raises:
        RunDirectoryError, RunFileError: The run cannot be read.
    """

    def __init__(self, found: FoundRun, on_card: Callable[["LiveRun"], None]) -> None:
        self.found = found
        self.opened = OpenedRun(found)
        self.channel = Channel()
        self.used = time.monotonic()
        self.problem: str | None = None
        self.gone = False
        self._on_card = on_card
        self._cursors: dict[str, int] = {}
        self._axes: dict[str, str] = {}
        self._generation = 0
        self._drawn: dict[str, int] = {}  # points of each chart as it was meant, when last judged
        self._sent: bytes = b""
        self._judging: asyncio.Task[None] | None = None
        self._changes = self._judged_changes = 0
        self._judge_after = 0.0
        self._judge_ended = 0.0
        self._shown = asyncio.Event()
        self._woken = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    async def shown(self) -> None:
        """Wait until there is something to show.

        Raises:
            UPSError: The run cannot be read.
        """
        self.used = time.monotonic()
        await self._shown.wait()
        if self.opened.run is None:
            raise UPSError(self.problem or "the run cannot be read")

    @property
    def is_watched(self) -> bool:
        """True where a browser listens."""
        return bool(self.channel.listeners)

    def stream(self, view: str) -> StreamingResponse:
        """Answer a browser that wants to listen. It gets the run as it stands at once."""
        self._woken.set()
        gone = [("gone", {"key": self.found.key})] if self.gone else []
        return self.channel.stream(view, ("run", self.opened.as_data()), *gone)

    def judge_again(self) -> None:
        """Take note that the run's state has changed."""
        self._changes += 1
        self._woken.set()

    async def close(self) -> None:
        """Stop following."""
        self.channel.end()
        for task in (self._task, self._judging):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self.opened.close()

    async def _follow(self) -> None:
        began = published = time.monotonic()
        try:
            while True:
                grew = False
                try:
                    grew = await asyncio.to_thread(self.opened.advance, _AT_ONCE)
                    self.problem = None
                except UPSError as error:
                    self.problem = str(error)
                if self._is_gone():
                    return
                now = time.monotonic()
                reading = self.opened.read < 1.0 and self.problem is None
                # A long run is drawn again, with what was read so far, at growing intervals.
                if grew and (
                    not reading or now - published > max(0.3, 0.2 * (now - began)) or not self._shown.is_set()
                ):
                    published = now
                    self._changes += 1
                    await asyncio.to_thread(self.opened.publish)
                    if not self._shown.is_set():  # so that the first answer has charts
                        await self._judge()
                    self._send_points()
                if self.opened.run is not None or self.problem is not None:
                    self._shown.set()
                self._judge_if_due()
                if not reading:
                    await self._pause()
        except Exception as error:  # noqa: BLE001 - a run is written by anyone; its page shows what is wrong
            self._give_up(error)
        finally:
            self._shown.set()

    def _is_gone(self) -> bool:
        """True where the run was deleted; browsers hear of it once. What was read of it stays."""
        if not self.gone and not self.found.path.exists():
            self.gone = True
            self.channel.send("gone", {"key": self.found.key})
        return self.gone

    async def _pause(self) -> None:
        """Wait until the files are worth another look."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            if self.is_watched:
                await asyncio.sleep(_POLL)
            else:
                await asyncio.wait_for(self._woken.wait(), _POLL_ALONE)

    def _judge_if_due(self) -> None:
        run, now = self.opened.run, time.monotonic()
        if run is None or (self._judging is not None and not self._judging.done()):
            return
        new_charts = self.opened.judged is not None and run.charts != self.opened.judged.run.charts
        due = self._judge_after if not new_charts else min(self._judge_after, self._judge_ended + 0.2)
        if now >= due and self._changes != self._judged_changes:
            self._judging = asyncio.create_task(self._judge())

    async def _judge(self) -> None:
        assert self.opened.run is not None
        self._judged_changes = self._changes
        try:
            took = await asyncio.to_thread(self.opened.judge)
        except Exception as error:  # noqa: BLE001 - its files may go away, and are written by anyone
            self._give_up(error)
            return
        self._judge_ended = time.monotonic()
        self._judge_after = self._judge_ended + max(_JUDGE_EVERY, _JUDGE_SHARE * took)
        self._send_run()
        self._send_meant()

    def _give_up(self, error: Exception) -> None:
        """Show the run as one that cannot be read, with the reason."""
        self.opened.card = unreadable_card(self.opened.card, error)
        self.problem = self.opened.card.message
        self._send_run()

    def _send_run(self) -> None:
        """Send the run, if anything of it has changed since the last time."""
        data = self.opened.as_data()
        sent = as_json(data)
        if sent != self._sent:
            self._sent = sent
            self.channel.send("run", data)
            self._on_card(self)

    def _send_points(self) -> None:
        """Send the points that are new since the last time."""
        run = self.opened.run
        assert run is not None
        begins, axes, generation = self._cursors, self._axes, self.opened.generation
        self._axes = {metric: run.axis(metric).metric for metric in run.charts}
        self._cursors = {metric: len(column.rows) for metric in run.charts if (column := run.column(metric))}
        if not self.is_watched:
            self._generation = generation
            return
        series = []
        for metric, end in self._cursors.items():
            begin = begins.get(metric, 0)
            if (
                generation != self._generation
                or axes.get(metric, self._axes[metric]) != self._axes[metric]
                or end < begin
            ):
                series.append({"metric": metric, "refetch": True, "begin": 0, "end": end})
            elif end > begin:
                series.append(_new_points(run, metric, begin, end))
        self._generation = generation
        if series:
            differs = self.opened.judged is not None and self.opened.judged.differs
            for view in VIEWS if not differs else VIEWS[:1]:
                self.channel.send("points", {"rows": run.rows, "series": series}, topic=view)

    def _send_meant(self) -> None:
        """Have the charts of the run as it was meant fetched again as they change, where it differs from the run."""
        judged = self.opened.judged
        if judged is None or not judged.differs:
            self._drawn = {}
            return
        before, self._drawn = self._drawn, {chart["metric"]: chart["rows"] for chart in judged.charts["meant"]}
        changed = [
            {"metric": metric, "refetch": True, "begin": before.get(metric, 0), "end": rows}
            for metric, rows in self._drawn.items()
            if rows != before.get(metric)
        ]
        if changed:
            self.channel.send("points", {"rows": judged.meant.rows, "series": changed}, topic="meant")


def _new_points(run: Run, metric: str, begin: int, end: int) -> dict[str, Any]:
    """The points of a chart from one cursor to another."""
    if end - begin > _MOST_POINTS:
        return {"metric": metric, "refetch": True, "begin": begin, "end": end}
    line = line_of(run, metric, since=begin)
    x, y, seconds = line.drawn_x, line.drawn_y, seconds_of(run, line.rows)
    known, finite = np.isfinite(x), np.isfinite(y)
    points, bad = known & finite, known & ~finite
    ahead = np.cumsum(points)[bad].tolist()  # how many points come before each mark
    marks = [
        {"x": x, "time": second if np.isfinite(second) else None, "kind": MARK_KINDS[kind], "at": at}
        for x, second, kind, at in zip(
            x[bad].tolist(), seconds[bad].tolist(), mark_kinds(y[bad]).tolist(), ahead, strict=True
        )
    ]
    return {
        "metric": metric,
        "x": x[points],
        "time": seconds[points],
        "y": y[points],
        **origin_and_digits(line, np.flatnonzero(points)),
        "marks": marks,
        "begin": begin,
        "end": end,
    }

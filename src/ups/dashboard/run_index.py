"""The runs below some folders: found, shown as cards, judged in the background, and opened on demand."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ups.dashboard.events import Channel
from ups.dashboard.live import LiveRun
from ups.dashboard.opened_run import health_of
from ups.dashboard.run_card import Card, Signature, card_of, signature_of, unreadable_card
from ups.errors import UPSError
from ups.runs.discovery import FoundRun, find_below

__all__ = ["RunIndex"]

_LOOK_EVERY = 1.0  # seconds
_LOOK_SHARE = 5  # the pause after a look at the folders is this many times the time that it took
_LOOK_SELDOM = 10.0  # seconds
_UNUSED = 600.0  # seconds after which a run that nobody looks at is closed
_MOST_OPEN = 8  # runs that stay open though nobody looks at them
_JUDGE_AFTER = 1.0  # seconds without anything better to do
_JUDGE_RUNNING_EVERY = 20.0  # seconds


class RunIndex:
    """Watches runs, and folders with runs below them, for runs that come, change and go."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = [path.absolute() for path in paths]
        self.channel = Channel()
        self._found: dict[str, FoundRun] = {}
        self._cards: dict[str, Card] = {}
        self._signatures: dict[str, Signature] = {}
        self._judged: dict[str, tuple[Signature, Card, float]] = {}
        self._open: dict[str, LiveRun] = {}
        self._looked = asyncio.Event()
        self._stopping = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch."""
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._judge())]

    async def stop(self) -> None:
        """Stop watching, and close the runs."""
        self._stopping.set()
        self.end_streams()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for run in list(self._open.values()):
            await run.close()

    def end_streams(self) -> None:
        """Send nothing more to any browser."""
        self.channel.end()
        for run in self._open.values():
            run.channel.end()

    async def is_empty(self) -> bool:
        """True where the first look found no run."""
        await self._looked.wait()
        return not self._found

    async def cards(self) -> list[dict[str, Any]]:
        """The cards of all runs, the newest first."""
        await self._looked.wait()
        cards = sorted(self._cards.values(), key=lambda card: -(card.created or 0.0))
        return [card.as_data() for card in cards]

    async def knows(self, key: str) -> bool:
        """True where a run of that key is there, or is still open."""
        await self._looked.wait()
        return key in self._found or key in self._open

    async def open(self, key: str) -> LiveRun | None:
        """Open the run of a key, and follow it; None where no run has the key.

        Raises:
            UPSError: It cannot be read.
        """
        await self._looked.wait()
        run = self._open.get(key)
        if run is not None and run.gone and key in self._found and run.found.path.exists():  # it is there again
            await self._open.pop(key).close()
            run = None
        if run is None:
            found = self._found.get(key)
            if found is None:
                return None
            run = self._open[key] = LiveRun(found, self._take_card)
        await run.shown()
        return run

    def _take_card(self, run: LiveRun) -> None:
        """Take the card of a run that was judged because somebody looks at it."""
        key, card = run.found.key, run.opened.card
        if key in self._found and run.opened.read == 1.0:
            self._judged[key] = (self._signatures.get(key, ()), card, time.monotonic())
            self._show(key, card)

    def _show(self, key: str, card: Card) -> None:
        if card != self._cards.get(key):
            self._cards[key] = card
            self.channel.send("run", card.as_data())

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            found, cards = await asyncio.to_thread(self._look)
            for key in self._found.keys() - found.keys():
                self._cards.pop(key, None)
                self._signatures.pop(key, None)
                self._judged.pop(key, None)
                self.channel.send("gone", {"key": key})
            changed = {
                key for key, run in self._open.items() if key in found and run.opened.reads_other_files(found[key])
            }
            self._found = found
            for key, card in cards.items():
                self._show(key, self._with_health(key, card))
                if key in self._open and card.state != self._open[key].opened.card.state:
                    self._open[key].judge_again()
            self._looked.set()
            await self._close_unused(changed)
            took = time.monotonic() - began
            await asyncio.sleep(min(max(_LOOK_EVERY, _LOOK_SHARE * took), _LOOK_SELDOM))

    def _look(self) -> tuple[dict[str, FoundRun], dict[str, Card]]:
        """Find all runs, and make the cards of those that may have changed."""
        found: dict[str, FoundRun] = {}
        for path in self.paths:
            with contextlib.suppress(UPSError, OSError):  # a folder that is gone has no runs
                found |= {each.key: each for each in find_below([path])}
        cards = {}
        for key, each in found.items():
            signature, card = signature_of(each), self._cards.get(key)
            if card is not None and signature == self._signatures.get(key) and card.state not in ("running", "crashed"):
                continue
            self._signatures[key] = signature
            cards[key] = card_of(each, signature)
        return found, cards

    def _with_health(self, key: str, card: Card) -> Card:
        """Add to a card what was known of the run when it was last judged."""
        judged = self._judged.get(key)
        if judged is None or card.state == "unreadable":
            return card
        known = judged[1]
        return replace(card, rows=known.rows, stages=known.stages, health=known.health)

    async def _close_unused(self, changed: set[str]) -> None:
        """Close runs that nobody looks at, and runs with new files, which are opened again."""
        now = time.monotonic()
        unused = [(run.used, key) for key, run in self._open.items() if not run.is_watched and key not in changed]
        unused.sort(reverse=True)
        old = {key for place, (used, key) in enumerate(unused) if place >= _MOST_OPEN or now - used > _UNUSED}
        for key in old | (changed & self._open.keys()):
            await self._open.pop(key).close()

    async def _judge(self) -> None:
        """Read and check one run after another, the newest first, so that each card has its health.

        Runs that somebody looks at come first: an open run is judged for its page.
        """
        await self._looked.wait()
        await asyncio.sleep(_JUDGE_AFTER)
        while True:
            key = None if self._is_reading() else self._next_to_judge()
            if key is None:
                await asyncio.sleep(_JUDGE_AFTER)
                continue
            signature, found = self._signatures.get(key, ()), self._found[key]
            try:
                card = await asyncio.to_thread(health_of, found, self._is_wanted)
            except Exception as error:  # noqa: BLE001 - a run is written by anyone; the next one is still judged
                known = self._cards.get(key)
                card = known and unreadable_card(known, error)
            if card is None or key not in self._found:
                continue
            self._judged[key] = (signature, card, time.monotonic())
            self._show(key, card)

    def _is_reading(self) -> bool:
        """True while a run that somebody looks at is being read."""
        opened = list(self._open.values())
        return any(run.opened.read < 1.0 and run.problem is None and not run.gone for run in opened)

    def _is_wanted(self) -> bool:
        """True where judging in the background must stop for something better."""
        return self._stopping.is_set() or self._is_reading()

    def _next_to_judge(self) -> str | None:
        now = time.monotonic()
        for key, card in sorted(self._cards.items(), key=lambda item: -(item[1].created or 0.0)):
            judged = self._judged.get(key)
            if key in self._open or key not in self._found:
                continue
            if judged is None:
                if card.state != "unreadable":
                    return key
            elif judged[0] != self._signatures.get(key) and now - judged[2] > _JUDGE_RUNNING_EVERY:
                return key
        return None

"""``ups show`` as a process of its own, and what a browser would ask it for."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

__all__ = ["PATIENCE", "Events", "Shown", "eventually", "show", "ups_show"]

PATIENCE = 60.0  # seconds; the machine may be busy

T = TypeVar("T")


class Shown:
    """A running dashboard."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        self.client = httpx.Client(base_url=address, timeout=PATIENCE)

    def get(self, path: str, **query: Any) -> Any:
        """What JSON the server answers with."""
        answer = self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self) -> list[dict[str, Any]]:
        """The cards."""
        runs: list[dict[str, Any]] = self.get("/api/runs")["runs"]
        return runs

    def key(self, name: str) -> str:
        """The key of the run that lies below a folder of that name, or is called so."""
        (key,) = [run["key"] for run in self.runs() if name == run["name"] or name in Path(run["path"]).parts]
        return str(key)

    def run(self, key: str) -> dict[str, Any]:
        """A run, once all of it was read."""
        run: dict[str, Any] = eventually(lambda: self.get(f"/api/runs/{key}"), lambda run: run["read"] == 1)
        return run

    def points(self, key: str, metric: str, **query: Any) -> list[tuple[float, float]]:
        """The points of a chart."""
        (line,) = self.get(f"/api/runs/{key}/series", metric=metric, **query)["series"]
        return list(zip(line["x"], line["y"], strict=True))


class Events:
    """Listens to server-sent events in a thread."""

    def __init__(self, shown: Shown, path: str) -> None:
        self.got: list[tuple[str, Any]] = []
        self.times: list[float] = []
        self.ended = False
        self._url = shown.address + path
        self._opened = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()
        assert self._opened.wait(PATIENCE)

    def _listen(self) -> None:
        try:
            with httpx.stream("GET", self._url, timeout=httpx.Timeout(PATIENCE)) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                event = ""
                for line in answer.iter_lines():
                    self._opened.set()
                    if line.startswith("event: "):
                        event = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        self.times.append(time.time())
                        self.got.append((event, json.loads(line.removeprefix("data: "))))
        except httpx.HTTPError:
            pass  # the server was ended
        self.ended = True

    def of(self, event: str) -> list[Any]:
        """The data of the events of a kind so far."""
        return [data for kind, data in self.got if kind == event]

    def newest(self, event: str) -> Any:
        """The data of the newest event of a kind; waits for the first."""
        return eventually(lambda: self.of(event), bool)[-1]

    def points(self, metric: str) -> list[tuple[float, float]]:
        """All points of a chart that came."""
        parts = [line for data in self.of("points") for line in data["series"] if line["metric"] == metric]
        assert not any(line.get("refetch") for line in parts)
        assert all(after["begin"] == before["end"] for before, after in itertools.pairwise(parts))
        return [point for line in parts for point in zip(line["x"], line["y"], strict=True)]


def eventually(ask: Callable[[], T], good: Callable[[T], bool]) -> T:
    """The first answer that is good."""
    until = time.monotonic() + PATIENCE
    while not good(answer := ask()):
        assert time.monotonic() < until, f"still {answer!r}"
        time.sleep(0.05)
    return answer


@contextmanager
def show(*paths: Path | str, options: tuple[str, ...] = ("--port", "0")) -> Iterator[Shown]:
    """``ups show`` with some paths, until the end of the block."""
    command = [sys.executable, "-m", "ups", "show", *map(str, paths), "--no-open", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, process.communicate()
        shown = Shown(process, found[0].rstrip("/"))
        eventually(lambda: _answers(shown), bool)
        yield shown
    finally:
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(PATIENCE) == 0, "Ctrl-C is no failure"
        finally:
            process.kill()
            assert process.stderr is not None
            assert process.stdout is not None
            errors = process.stderr.read()
            process.stderr.close()
            process.stdout.close()
    assert errors == ""


def _answers(shown: Shown) -> bool:
    try:
        shown.client.get("/api/nothing")
    except httpx.HTTPError:
        return False
    return True


def ups_show(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``ups show`` that is expected to end by itself."""
    command = [sys.executable, "-m", "ups", "show", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=env)

"""The dashboard in a real Chromium: the time until a point is on the page and until a long run is drawn; scrolling.

Run as ``python benchmarks/dashboard.py [--rows N] [--run PATH] [--only NAME]``. The long run is made by UPS, journaled
only, and kept in ``~/.cache/ups-benchmarks`` (or ``$UPS_BENCHMARKS``) for the next time: 340 MB for 1,000,000 rows of
12 metrics. ``--run`` opens another run too, for example a ``.wandb`` file of as many rows. Exits with 1 if a limit of
those below is broken. A chart counts as painted when its line can be seen. Plotly, which takes a while to start,
draws it again with its axes.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import Browser, Page, sync_playwright

MOST_LATENCY = 1.0  # seconds, at the 95th percentile
MOST_FIRST, MOST_SECOND = 3.0, 1.5  # seconds until the first chart is painted
MOST_FRAME = 100.0  # milliseconds, on average
MOST_RUNS_PAGE = 2.0  # seconds
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

LIVE = """
import sys, time, ups
with ups.create_wandb_context({}, mode="offline", dir=sys.argv[1], stages=["operator"]) as ctx:
    stage = ctx.stage("operator")
    for step in range(int(sys.argv[2])):
        stage.log(step, loss=1 / (step + 1), lr=1e-3, grad_norm=1.0)
        print(time.time(), flush=True)
        time.sleep(0.02)
"""
LONG = """
import math, sys, ups
rows = int(sys.argv[2])
with ups.create_wandb_context({}, mode="local", dir=sys.argv[1], stages=["operator"]) as ctx:
    stage = ctx.stage("operator")
    for step in range(rows):
        stage.log(step, {f"metric{k:02}": math.sin(step * (k + 1) / 1e4) + step % (k + 7) / 9 for k in range(12)})
"""
WIDE = """
import math, sys, ups
with ups.create_wandb_context({}, mode="local", dir=sys.argv[1], stages=["operator"]) as ctx:
    stage = ctx.stage("operator")
    for step in range(2000):
        stage.log(step, {f"metric{k:02}": math.sin(step * (k + 1) / 1e3) for k in range(60)})
"""
MANY = """
import sys, ups
for number in range(int(sys.argv[2])):
    with ups.create_wandb_context({}, mode="local", dir=sys.argv[1], name=f"run {number}", stages=["operator"]) as ctx:
        for step in range(10):
            ctx.stage("operator").log(step, loss=1 / (step + 1))
"""
WATCH = """
window.benchmark = [];
new MutationObserver((changes) => {
  for (const {target} of changes)
    if (target.dataset.metric?.endsWith("/loss") && target.dataset.end)
      window.benchmark.push([Date.now() / 1000, Number(target.dataset.end)]);
}).observe(document, {subtree: true, attributes: true, attributeFilter: ["data-end"]});
"""
SCROLL = """
async () => {
  const frames = [], page = document.scrollingElement;
  let before = await new Promise(requestAnimationFrame);
  for (let at = 0; at < page.scrollHeight - innerHeight; at += 120) {
    page.scrollTop = at;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - before);
    before = now;
  }
  return frames;
}
"""


class Table:
    """The measurements, and the limits that they broke."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        print(f"{'':<58} {'measured':>10} {'limit':>8}")

    def row(self, what: str, measured: float, unit: str, limit: float | None = None) -> None:
        """Print a line; note it if the limit is broken."""
        shown = f"{measured:.0f} {unit}" if unit in ("MB", "ms", "") else f"{measured:.2f} {unit}"
        print(f"{what:<58} {shown:>10} {'' if limit is None else f'{limit:g} {unit}':>8}", flush=True)
        if limit is not None and measured > limit:
            self.failures.append(f"{what}: {shown}, wanted at most {limit:g} {unit}")


class Dashboard:
    """``ups show`` as a process of its own."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def key(self) -> str:
        """The key of the only run."""
        while not (runs := httpx.get(f"{self.address}/api/runs", timeout=60).json()["runs"]):
            time.sleep(0.1)
        return str(runs[0]["key"])

    def memory(self) -> float:
        """The memory of the server, in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--run", type=Path, action="append", default=[], help="another run to open")
    parser.add_argument("--only", choices=["live", "long", "scroll", "many"])
    options = parser.parse_args()
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        sys.exit(f"this machine has no browser; install one of {', '.join(BROWSERS)}")
    table = Table()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if options.only in (None, "live"):
            live(browser, Path(scratch) / "live", table)
        if options.only in (None, "long"):
            for run in [made_run(options.rows), *options.run]:
                long(browser, run, table)
        if options.only in (None, "scroll"):
            scroll(browser, Path(scratch) / "wide", table)
        if options.only in (None, "many"):
            many(browser, Path(scratch) / "many", table)
        browser.close()
    for failure in table.failures:
        print(f"FAILED: {failure}")
    return 1 if table.failures else 0


def live(browser: Browser, folder: Path, table: Table) -> None:
    """From ``log()`` returning to the point being painted, while a run trains with 50 rows a second."""
    steps = 500
    folder.mkdir()
    training = subprocess.Popen(
        [sys.executable, "-c", LIVE, str(folder), str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert training.stdout is not None
    with show(folder) as dashboard, page_of(browser) as page:
        page.add_init_script(WATCH)
        page.goto(f"{dashboard.address}/run/{dashboard.key()}")
        page.wait_for_selector(".chart[data-end]")
        page.wait_for_selector(".chart:not([data-end])", state="detached")
        begun = page.evaluate("window.benchmark.at(-1)[1]")  # points that were there when the page was drawn
        returned = [float(line) for line in training.stdout]
        painted: list[tuple[float, int]] = []
        while not painted or painted[-1][1] < steps:
            time.sleep(0.2)
            painted = page.evaluate("window.benchmark")
        at = {step: next(when for when, end in painted if end > step) for step in range(begun, steps)}
        latencies = [when - returned[step] for step, when in at.items()]
        table.row(f"log() to the page, {len(latencies)} points, median", statistics.median(latencies), "s")
        table.row("  95th percentile", statistics.quantiles(latencies, n=20)[-1], "s", MOST_LATENCY)
        table.row("  server holds", dashboard.memory(), "MB")
    training.wait()


def long(browser: Browser, run: Path, table: Table) -> None:
    """The first chart of a long run, on the first opening and on another, and zooming in."""
    with show(run) as dashboard:
        key = dashboard.key()
        address = f"{dashboard.address}/run/{key}"
        with page_of(browser) as page:
            table.row(f"{run.name}: first chart painted, first opening", painted_after(page, address), "s", MOST_FIRST)
            began = time.monotonic()
            while httpx.get(f"{dashboard.address}/api/runs/{key}", timeout=60).json()["read"] < 1:
                time.sleep(0.5)
            table.row("  all of it read, after another", time.monotonic() - began, "s")
            page.close()
            page = page.context.new_page()
            began = time.monotonic()
            table.row("  first chart painted, second opening", painted_after(page, address), "s", MOST_SECOND)
            page.wait_for_selector(".chart[data-end]")
            table.row("  its axes too, drawn by Plotly", time.monotonic() - began, "s")
        table.row("  server holds", dashboard.memory(), "MB")


def scroll(browser: Browser, folder: Path, table: Table) -> None:
    """Frame times while a page with 60 charts is scrolled from top to bottom."""
    folder.mkdir()
    make(WIDE, folder)
    with show(folder) as dashboard, page_of(browser) as page:
        painted_after(page, f"{dashboard.address}/run/{dashboard.key()}")
        frames: list[float] = page.evaluate(SCROLL)
        table.row(f"60 charts scrolled, {len(frames)} frames, average", statistics.mean(frames), "ms", MOST_FRAME)
        table.row("  95th percentile", statistics.quantiles(frames, n=20)[-1], "ms")
        table.row("  longest", max(frames), "ms")
        table.row("  server holds", dashboard.memory(), "MB")


def many(browser: Browser, folder: Path, table: Table) -> None:
    """The runs page with 1,000 runs."""
    folder.mkdir()
    make(MANY, folder, "1000")
    with show(folder) as dashboard, page_of(browser) as page:
        page.goto(dashboard.address)
        page.wait_for_selector('body[data-ready="1"]')
        table.row("1,000 runs listed, page ready", page.evaluate("performance.now()") / 1e3, "s", MOST_RUNS_PAGE)
        table.row("  server holds", dashboard.memory(), "MB")


def painted_after(page: Page, address: str) -> float:
    """Seconds from asking for a run's page to its first chart being painted."""
    page.goto(address)
    page.wait_for_selector("html[data-painted]", state="attached")
    return float(page.evaluate("document.documentElement.dataset.painted")) / 1e3


@contextmanager
def page_of(browser: Browser) -> Iterator[Page]:
    """A window with nothing in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(120_000)
    yield context.new_page()
    context.close()


@contextmanager
def show(path: Path) -> Iterator[Dashboard]:
    """A dashboard on a path, just started."""
    command = [sys.executable, "-m", "ups", "show", str(path), "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://\S+?:\d+", process.stdout.readline())
    assert found is not None
    try:
        while not _answers(found[0]):
            time.sleep(0.02)
        yield Dashboard(process, found[0])
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        process.stdout.close()


def _answers(address: str) -> bool:
    try:
        httpx.get(f"{address}/api/nothing", timeout=60)
    except httpx.HTTPError:
        return False
    return True


def made_run(rows: int) -> Path:
    """A run with that many rows and 12 charts; made if it is not there."""
    home = Path(os.environ.get("UPS_BENCHMARKS") or Path.home() / ".cache" / "ups-benchmarks") / f"{rows}-journaled"
    if not (home / "done").exists():
        print(f"making a run of {rows:,} rows in {home} …", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        make(LONG, home, str(rows))
        (home / "done").touch()
    return next(path.parent for path in home.rglob("run.json"))


def make(source: str, *arguments: Any) -> None:
    """Run a script."""
    subprocess.run([sys.executable, "-c", source, *map(str, arguments)], check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())

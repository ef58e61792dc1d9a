"""Numbers with all their digits, in a real Chromium: below the cursor, in a report, and while a run grows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.browser import DIGITS, DRAWN, grown, made, open_run, shown, training, watched
from ups.runs import open_runs
from waiting import wait_for

FIRST = 2**60
LOSS, BYTES, FAR = (f'.chart[data-metric="ns/{name}"]' for name in ("loss", "bytes", "far"))
GROWING = """
    import pathlib, sys, time
    import ups
    with ups.create_wandb_context({}, "growing", name="growing", mode="local", dir=sys.argv[1]) as ctx:
        stop, large, step = pathlib.Path(sys.argv[1], "stop"), pathlib.Path(sys.argv[1], "large"), 0
        while not stop.exists():
            ctx.stage("s").log(step, tokens=(2**60 if large.exists() else 0) + step)
            step += 1
            time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def runs(browser: Browser) -> Path:
    """Two runs whose axis is beyond 2**53, the second one 7 steps further on."""
    return made(DIGITS)


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    with shown(runs) as where:
        yield where


def cursor_on(page: Page, selector: str, step: int, last: int = 29) -> None:
    """Put the pointer on a step of a chart whose x goes from 0 to ``last``."""
    page.wait_for_selector(f"{selector}[data-end]")
    box = page.locator(f"{selector} .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * step / last, box["y"] + 40)


def test_the_cursor_shows_every_digit(page: Page, address: str) -> None:
    """Of x and y, whole numbers and others; each step has a place of its own, and a window is exact too."""
    open_run(page, address, "first")
    for step in (0, 1, 17, 29):
        cursor_on(page, BYTES, step)
        expect(page.locator(f"{BYTES} .chart-value .at")).to_have_text(f"{FIRST + step:,}")
        expect(page.locator(f"{BYTES} .chart-value b")).to_have_text(f"{2**61 + step:,}")
        expect(page.locator(f"{LOSS} .chart-value b")).to_have_text(repr(1 / (3 + step)))
        expect(page.locator(f"{FAR} .chart-value b")).to_have_text(f"{(-2) ** (step + 33):,}".replace("-", "−"))
    expect(page.locator(f"{LOSS} .axis-name:visible")).to_have_text(f"x counts from {FIRST:,}")
    xs = page.locator(f"{LOSS} .scatterlayer .point").evaluate_all(
        "points => new Set(points.map(point => point.getAttribute('transform'))).size"
    )
    assert xs == 30
    box = page.locator(f"{BYTES} .nsewdrag").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 42, steps=4)
    page.mouse.up()
    page.wait_for_selector(f"{BYTES}[data-zoom]")
    zoom = page.locator(BYTES).get_attribute("data-zoom")
    page.locator(f"{BYTES} .plot-area").focus()
    page.keyboard.press("Enter")
    large = page.locator(".chart.large[data-end]")
    expect(large.locator(".axis-name:visible")).to_have_text(f"against ns/step, x counts from {FIRST:,}")
    expect(large).to_have_attribute("data-zoom", zoom or "")
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(page.locator(f"{BYTES} .plot-area")).to_have_attribute("aria-valuetext", f"{2**61 + 29:,} at {FIRST + 29:,}")
    page.keyboard.press("3")
    expect(page.locator("dt", has_text="seed").locator("~ dd").first).to_have_text(str(FIRST + 1))


def test_runs_are_compared_from_one_origin(page: Page, address: str) -> None:
    """A line that begins 7 steps later is drawn 7 steps further to the right."""
    keys = {card["name"]: card["key"] for card in httpx.get(f"{address}/api/runs").json()["runs"]}
    page.goto(f"{address}/compare?run={keys['first']}&run={keys['second']}")
    cursor_on(page, BYTES, 20, last=36)
    expect(page.locator(f"{BYTES} .chart-value .at")).to_have_text(f"{FIRST + 20:,}")
    expect(page.locator(f"{BYTES} .tip div").nth(0)).to_have_text(f"first{2**61 + 20:,}")
    expect(page.locator(f"{BYTES} .tip div").nth(1)).to_have_text(f"second{2**61 + 13:,}")


def test_a_report_shows_and_saves_every_digit(browser: Browser, runs: Path, tmp_path: Path) -> None:
    """The same page, without a server."""
    (path,) = [run.path for run in open_runs(runs) if run.name == "first"]
    subprocess.run([sys.executable, "-m", "ups", "report", path, "-o", tmp_path / "report.html"], check=True)
    with watched(browser, accept_downloads=True) as window:
        page = window.page
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_selector(DRAWN)
        cursor_on(page, BYTES, 17)
        expect(page.locator(f"{BYTES} .chart-value .at")).to_have_text(f"{FIRST + 17:,}")
        expect(page.locator(f"{BYTES} .chart-value b")).to_have_text(f"{2**61 + 17:,}")
        with page.expect_download() as saved:
            page.locator(BYTES).get_by_role("button", name="Save all points as CSV").click()
        rows = [line.split(",") for line in saved.value.path().read_text().splitlines()[1:]]
        assert [(row[0], row[2]) for row in rows] == [(str(FIRST + step), str(2**61 + step)) for step in range(30)]


def test_a_live_chart_comes_to_large_numbers(browser: Browser, tmp_path: Path) -> None:
    """A count that passes 2**53 while somebody looks on."""
    with training(tmp_path, GROWING), shown(tmp_path) as address, watched(browser) as window:
        page, tokens = window.page, "training/s/tokens"
        open_run(page, address, "growing")
        page.wait_for_selector(DRAWN)
        grown(tokens, page, by=5)
        (tmp_path / "large").touch()
        area = page.locator(f'.chart[data-metric="{tokens}"] .plot-area')

        def last() -> list[int]:
            said = (area.get_attribute("aria-label") or "").replace(",", "")
            return [int(number) for number in re.findall(r"last value (\d+) at (\d+)", said)[0]]

        wait_for(lambda: last()[0] > FIRST)
        before = last()
        wait_for(lambda: last()[1] > before[1] + 5)
        for value, step in (before, last()):
            assert value == FIRST + step

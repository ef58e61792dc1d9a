"""``ups report``: its file, opened from the disk in a real Chromium with the network off."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from dashboard.browser import DRAWN, EVERY_VERDICT, LONG, STAGED, made, watched
from ups.check import Verdict


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    """The reports of a staged run, of one with every verdict and of a long one."""
    folder = tmp_path_factory.mktemp("reports")
    runs = {
        "staged": made(STAGED, "fno-adamw", "fno-lion") / "fno-adamw",
        "plain": made(EVERY_VERDICT),
        "long": made(LONG),
    }
    for name, run in runs.items():
        done = report(run, "-o", folder / f"{name}.html")
        assert done.returncode == 0, done.stderr
    return folder


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ups", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_report_has_the_charts_without_a_network(
    browser: Browser, reports: Path, pytestconfig: pytest.Config
) -> None:
    """Opened from the disk, it draws the charts, reads tables and images, saves a chart, and asks for nothing."""
    with watched(browser, accept_downloads=True) as window:
        window.context.set_offline(True)
        page = window.page
        page.goto((reports / "staged.html").as_uri())
        page.wait_for_selector(DRAWN)
        if pytestconfig.cache:
            page.screenshot(path=Path(str(pytestconfig.cache.mkdir("screenshots"))) / "report.png")
        expect(page.locator(".board .chart")).to_have_count(9)
        loss = '.chart[data-metric="training/operator/loss"]'
        expect(page.locator(loss).locator(".scatterlayer .point")).to_have_count(2)
        step = page.locator(loss).locator(".js-line").first.get_attribute("d")
        page.keyboard.press("x")
        page.wait_for_function(
            "([loss, step]) => document.querySelector(loss + ' .js-line')?.getAttribute('d') !== step", arg=[loss, step]
        )
        page.locator(loss).hover()
        with page.expect_download() as saved:
            page.locator(loss).get_by_role("button", name="Save all points as CSV").click()
        lines = saved.value.path().read_text().splitlines()
        assert lines[0] == "training/operator/step,seconds,training/operator/loss"
        assert len(lines) == 1 + 300
        assert [line.split(",")[::2] for line in lines if line.endswith("nan")] == [["150", "nan"], ["151", "nan"]]
        page.get_by_role("tab", name="Tables & images").click()
        expect(page.get_by_role("cell", name="0.049")).to_be_attached()
        page.wait_for_function("() => document.querySelector('.image img')?.naturalWidth === 64")
        page.get_by_role("tab", name="Summary & config").click()
        expect(page.get_by_text("model.width")).to_be_visible()
        assert window.hosts == set()
        assert window.schemes <= {"file", "data", "blob"}


def test_a_report_has_verdicts_findings_and_the_switch(browser: Browser, reports: Path) -> None:
    """Every verdict stands on its chart, the findings with their fixes, and the switch shows what was meant."""
    with watched(browser) as window:
        window.context.set_offline(True)
        page = window.page
        page.add_init_script("delete Map.groupBy")  # as in a browser of the year before
        page.goto((reports / "plain.html").as_uri())
        page.wait_for_selector(DRAWN)
        cards = page.locator(".board .chart")
        verdicts = cards.evaluate_all("cards => cards.map(card => card.dataset.verdict)")
        assert set(verdicts) == {str(verdict) for verdict in Verdict}
        page.keyboard.press("v")
        page.wait_for_selector('.chart[data-metric="frozen/loss"][data-verdict=full][data-view=meant][data-end]')
        page.keyboard.press("2")
        expect(page.locator(".finding .fix").first).to_be_visible()


def test_a_report_says_what_it_leaves_out(browser: Browser, reports: Path) -> None:
    """A chart of more points than the report holds says how many it has, and saves no more than those."""
    with watched(browser) as window:
        page = window.page
        page.goto((reports / "long.html").as_uri())
        loss = page.locator('.chart[data-metric="training/train/loss"]')
        expect(loss.locator(".axis-name:visible")).to_have_text(re.compile(r"2,00\d of 6,000 points"))
        expect(loss.get_by_role("button", name="Save the points in this report as CSV")).to_be_attached()


def test_a_report_is_not_written_over(reports: Path) -> None:
    """A file that is there is left alone, and a folder without a run is said: one line each, exit status 2."""
    before = (reports / "staged.html").stat()
    again = report(made(LONG), "-o", reports / "staged.html")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "exists already" in again.stderr
    assert (reports / "staged.html").stat() == before
    (reports / "empty").mkdir()
    nothing = report(reports / "empty", "-o", reports / "empty.html")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
    assert not (reports / "empty.html").exists()

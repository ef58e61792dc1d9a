"""A run whose names and values are markup and script, opened in a real Chromium: nothing of it runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.browser import DRAWN, Watched, make, shown, watched
from ups.dashboard.html_report import write_report

HOSTILE = r"""
    import sys
    import numpy as np
    import ups
    import wandb

    markup = [
        "<script>window.pwned = 1</script>",
        "<img src=x onerror='window.pwned=1'>",
        "</script><script>window.pwned = 1</script>",
        "<b>bold</b><a href='javascript:window.pwned=1'>link</a>",
        "<svg onload='window.pwned=1'>",
        "'\"><iframe src='https://example.com'></iframe>",
        "&lt;img src=x&gt; {{7-7}} ${7-7} `x`",
        "\u202egnp.exe\u202c",
        "../../../../etc/passwd",
    ]
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(
        mode="offline", dir=sys.argv[1], id="hostile", name=markup[2], project="p<script>window.pwned=1<",
        settings=settings,
        tags=[markup[1][:60]], config={"text": markup, markup[0]: {markup[1]: markup[4]}, "__proto__": "polluted"},
    )
    for at, text in enumerate(markup):
        run.define_metric(f"stage {at} {text}/*", step_metric=f"stage {at} {text}/step")
        for step in range(5):
            run.log({f"stage {at} {text}/loss {text}": step, f"stage {at} {text}/step": step})
    run.log({"words": markup[1], "__proto__": 1.0, "constructor": 2.0})
    run.log({"frozen/loss": 1.0, markup[0]: float("nan")})
    run.log({f"table {markup[0]}": wandb.Table(columns=markup, data=[markup, markup])})
    run.log({"images": wandb.Image(np.zeros((4, 4, 3), dtype="uint8"), caption=markup[1])})
    run.summary[markup[1]] = markup[0]
    run.finish()

    with ups.create_wandb_context({markup[0]: markup}, "other", name=markup[1], mode="local", dir=sys.argv[1]) as ctx:
        for step in range(5):
            ctx.log_training_metric("operator", "<script>window.pwned=1</script>", step, step)
        ctx.log_table(markup[1], markup, [markup])
        ctx.log_image("picture", np.zeros((4, 4, 3), dtype="uint8"), caption=markup[1])
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    make(HOSTILE, folder)
    return folder


def assert_harmless(page: Page) -> None:
    """No script of the run ran, and none of its markup became an element."""
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("({}).polluted") is None
    made = "script, iframe, object, embed, b:has(+ a), u, a[href^='javascript'], img[src='x'], [onload], [onerror]"
    assert page.locator(f"main :is({made})").count() == 0
    assert page.locator("head script").count() <= 3


def look_at_all(window: Watched) -> None:
    """Go through every part of a run's page."""
    page = window.page
    page.wait_for_selector(DRAWN)
    assert page.locator(".board .chart").count() > 0
    for card in page.locator(".board .chart:visible").all()[:4]:
        card.scroll_into_view_if_needed()
        card.hover()
    for chip in page.locator(".chip:not([disabled]):visible").all()[:3]:
        chip.click()
    assert_harmless(page)
    for tab in ("2", "3", "4"):
        page.keyboard.press(tab)
        page.wait_for_timeout(200)
        assert_harmless(page)
    expect(page.locator(".table-body td").first).to_have_text("<script>window.pwned = 1</script>")
    page.wait_for_function("() => document.querySelector('.image img')?.naturalWidth === 4")
    page.keyboard.press("1")
    chart = page.locator(".board .chart[data-end]:visible").first
    chart.locator(".plot-area").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".chart.large[data-end]")
    with page.expect_download() as saved:
        page.locator(".chart.large").get_by_role("button", name="Save as PNG").click()
    name = saved.value.suggested_filename
    assert name.endswith(".png")
    assert not set(name) & set("/\\<>'\"")
    page.keyboard.press("Escape")
    assert_harmless(page)


def test_a_hostile_run_is_only_text(browser: Browser, runs: Path) -> None:
    """Names, configuration, tables, captions and values are shown as text on every page, and no request leaves."""
    with shown(runs) as address, watched(browser) as window:
        page = window.page
        page.goto(address)
        expect(page.locator("table.runs tbody tr")).to_have_count(2)
        expect(page.get_by_role("link", name="</script><script>window.pwned = 1</script>")).to_be_visible()
        assert_harmless(page)
        for box in page.locator("table.runs tbody input").all():
            box.check()
        addresses = page.locator("a.run-link").evaluate_all("links => links.map(link => link.href)")
        page.get_by_role("link", name="Compare 2 runs").click()
        page.wait_for_selector(DRAWN)
        assert_harmless(page)
        for each in addresses:
            page.goto(each)
            look_at_all(window)
        assert window.schemes <= {"http", "data", "blob"}


def test_a_report_of_a_hostile_run_is_only_text(browser: Browser, runs: Path, tmp_path: Path) -> None:
    """The same holds for the file that ``ups report`` writes."""
    (hostile,) = runs.glob("wandb/offline-run-*")
    write_report(hostile, tmp_path / "report.html")
    with watched(browser) as window:
        window.context.set_offline(True)
        window.page.goto((tmp_path / "report.html").as_uri())
        look_at_all(window)
        assert window.hosts == set()
        assert window.schemes <= {"file", "data", "blob"}


LONG = """
    import json, pathlib, sys, wandb
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(mode="offline", dir=sys.argv[1], settings=settings)
    for step in range(5):
        run.log({"=1+1": step})
    tables = pathlib.Path(run.dir, "media", "table")
    run.finish()
    tables.mkdir(parents=True)
    table = {"columns": ["first", "second"], "data": [[row, "x" * 200] for row in range(100_000)]}
    (tables / "long_5_0.table.json").write_text(json.dumps(table))
"""


def test_a_table_that_is_too_long_and_a_metric_that_is_a_formula(browser: Browser, tmp_path: Path) -> None:
    """A table's first rows are shown, which is said; a chart's CSV, of the page or a report, begins with no formula."""
    make(LONG, tmp_path)
    (run,) = tmp_path.glob("wandb/offline-run-*")
    write_report(run, tmp_path / "report.html")
    with shown(run) as address, watched(browser) as window:
        page = window.page
        page.goto(address)
        page.locator("a.run-link").click()
        for where in ("", (tmp_path / "report.html").as_uri()):
            if where:
                page.goto(where)
            page.wait_for_selector(DRAWN)
            page.locator(".board .chart").first.hover()
            with page.expect_download() as saved:
                page.locator(".board .chart").first.get_by_role("button", name="Save all points as CSV").click()
            assert saved.value.path().read_text().splitlines()[0] == "_step,seconds,'=1+1"
            page.keyboard.press("4")
            expect(page.locator(".table-panel summary")).to_contain_text(re.compile(r"first \d\d,\d\d\d rows"))
            if not where:
                expect(page.locator(".table-body")).to_contain_text(
                    "This table is too long to show in full: these are its"
                )

"""What the tests in a browser share: a Chromium and a window for each module of them, and the runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page

from dashboard.browser import Take, Watched, open_chromium, watched


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from open_chromium()


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Watched]:
    """One for many tests: a new one reads the script that draws again, which takes longer than most tests."""
    with watched(browser) as opened:
        yield opened


@pytest.fixture
def page(window: Watched) -> Iterator[Page]:
    """A window on the dashboard that knows nothing yet, and is clean in the end.

    Between tests it is at an answer of the same server: for any other place the browser starts a process that has to
    read the script that draws.
    """
    yield window.page
    try:
        if window.page.url != "about:blank":
            window.page.evaluate("localStorage.clear()")
            window.page.goto(urljoin(window.page.url, "/api/runs"))
        window.assert_clean()
    finally:  # the next test has its own
        window.errors.clear()
        window.allowed = ()


@pytest.fixture(scope="module")
def take(pytestconfig: pytest.Config) -> Take:
    """Takes a screenshot, which pytest's cache folder keeps."""
    folder = Path(str(pytestconfig.cache.mkdir("screenshots"))) if pytestconfig.cache else Path()

    def taken(page: Page, name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return taken

"""The dashboard's pages in a real Chromium, while runs and the server come, change and go."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from dashboard.browser import (
    DRAWN,
    EVERY_VERDICT,
    LIVE,
    STAGED,
    Take,
    Watched,
    chart,
    grown,
    made,
    open_run,
    shape,
    shown,
    training,
)
from runfile.real_runs import wandb_file
from waiting import wait_for

Serve = Callable[[Path], str]


@pytest.fixture(scope="module")
def port() -> int:
    """The same for the server of each test, so that the browser knows the script that draws, and need not read it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def serve(port: int) -> Iterator[Serve]:
    """Starts a server that a test's own folder is shown by; it ends when the test's page, asked for later, has left."""
    with ExitStack() as servers:
        yield lambda path: servers.enter_context(shown(path, port=port))


def copied(name: str, to: Path) -> None:
    """One of the staged runs, for a test that deletes it."""
    shutil.copytree(made(STAGED, "fno-adamw", "fno-lion") / name, to / name, symlinks=True)


def test_an_empty_folder_says_what_to_do(serve: Serve, page: Page, tmp_path: Path, take: Take) -> None:
    """Without runs the page says where it looked and how to log one; the first run then comes by itself."""
    page.goto(serve(tmp_path))
    expect(page.get_by_role("heading", name="No runs here yet")).to_be_visible()
    expect(page.locator("main")).to_contain_text(str(tmp_path))
    take(page, "no-runs")
    copied("fno-lion", tmp_path)
    expect(page.get_by_role("link", name="fno-lion")).to_be_visible()


def test_a_live_run_grows_in_five_windows(serve: Serve, page: Page, tmp_path: Path, take: Take) -> None:
    """Five windows on a run that trains: its charts grow in all, a new stage appears, and its end is said."""
    slow = LIVE.replace("sleep(0.02)", "sleep(0.5)")  # each point is drawn in each window
    with training(tmp_path, slow) as folder, ExitStack() as others:
        address = serve(folder)
        page.goto(address)
        pages = [page]
        for _ in range(4):
            with page.expect_popup() as popup:  # unlike a new page it is in the process that has read the script
                page.evaluate("void window.open('/api/runs')")
            pages.append(others.enter_context(closing(popup.value)))
        for each in pages:
            open_run(each, address, "live")
            each.wait_for_selector(f"{chart('training/first/loss')}[data-drawn]")
            expect(each.locator(".run-title .state")).to_have_text("running")
        grown("training/first/loss", *pages, by=2)
        (folder / "late").touch()
        for each in pages:
            each.wait_for_selector(f"{chart('training/second/loss')}[data-drawn]")
        grown("training/second/loss", *pages, by=2)
        take(page, "live")
        (folder / "stop").touch()
        for each in pages:
            expect(each.locator(".run-title .state")).to_have_text("finished")


def test_a_run_that_is_deleted_stays_on_the_page(serve: Serve, page: Page, tmp_path: Path, take: Take) -> None:
    """When its directory goes, the page says so and keeps the charts; the runs page loses the run."""
    copied("fno-lion", tmp_path)
    address = serve(tmp_path)
    open_run(page, address, "fno-lion")
    page.wait_for_selector(f"{chart('training/operator/lr')}[data-end]")
    shutil.rmtree(tmp_path / "fno-lion")
    expect(page.locator(".banner")).to_contain_text("deleted from the disk")
    expect(page.locator(chart("training/operator/lr"))).to_be_visible()
    assert shape(page, chart("training/operator/lr"))
    take(page, "deleted")
    page.goto(address)
    expect(page.get_by_role("heading", name="No runs here yet")).to_be_visible()


def test_what_happens_while_the_runs_page_opens_is_on_it(serve: Serve, page: Page, tmp_path: Path) -> None:
    """A run that goes before the page hears of changes is not left on it."""
    copied("fno-adamw", tmp_path)
    copied("fno-lion", tmp_path)
    address, held = serve(tmp_path), []
    page.route("**/api/events", lambda route: held.append(route))
    page.goto(address)
    expect(page.locator("table.runs tbody tr")).to_have_count(2)
    shutil.rmtree(tmp_path / "fno-lion")
    wait_for(lambda: len(httpx.get(f"{address}/api/runs").json()["runs"]) == 1)
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("table.runs tbody tr")).to_have_count(1)
    page.unroute_all()


def test_a_run_that_goes_while_the_list_is_drawn_is_no_error(serve: Serve, window: Watched, tmp_path: Path) -> None:
    """The rest of a long list is drawn a frame later, and a run may be gone by then."""
    copied("fno-adamw", tmp_path)
    copied("fno-lion", tmp_path)
    address = serve(tmp_path)
    with closing(window.context.new_page()) as other:
        other.add_init_script("""
            const later = window.setTimeout;
            window.setTimeout = (run, wait, ...rest) => (wait === 250 ? 0 : later(run, wait, ...rest));  // no redraw
            window.frames_held = [];
            window.requestAnimationFrame = (run) => window.frames_held.push(run);
        """)
        other.goto(address)
        expect(other.locator("table.runs tbody tr")).to_have_count(2)
        shutil.rmtree(tmp_path / "fno-lion")
        expect(other.locator("table.runs tbody tr")).to_have_count(1)
        other.evaluate("window.frames_held.splice(0).forEach((run) => run())")
        expect(other.locator("table.runs tbody tr")).to_have_count(1)
    window.assert_clean()


def test_a_click_holds_while_the_run_changes(serve: Serve, page: Page, tmp_path: Path) -> None:
    """What changes on a run's row between pressing the button and letting go costs no click."""
    shutil.copytree(wandb_file("killed").parent, tmp_path / "killed", symlinks=True)
    (file,) = (tmp_path / "killed").glob("*.wandb")
    os.utime(file, (0, 0))
    page.goto(serve(tmp_path))
    state, link = page.locator("table.runs tbody .state"), page.locator("a.run-link")
    expect(state).to_have_text("crashed")
    link.hover()
    page.mouse.down()
    os.utime(file)
    expect(state).to_have_text("running")
    page.mouse.up()
    page.wait_for_selector('body[data-page="run"][data-ready="1"]')


def test_a_chart_that_stays_empty_keeps_saying_why(serve: Serve, page: Page, tmp_path: Path) -> None:
    """While a run grows, and when its file is written anew, a chart without a point is explained and not drawn."""
    (whole,) = made(EVERY_VERDICT).glob("wandb/offline-run-*/*.wandb")
    file, content = tmp_path / whole.name, whole.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    open_run(page, serve(file), "every verdict")
    page.wait_for_selector(f"{chart('full/loss')}[data-end]")
    half = page.locator(chart("full/loss")).get_attribute("data-end")
    for part, points in ((content, 12), (content[: len(content) // 2], half)):
        rows = page.locator(".fact.rows").inner_text()
        file.write_bytes(part)
        expect(page.locator(".fact.rows")).not_to_have_text(rows)
        page.wait_for_selector(f"{chart('full/loss')}[data-end='{points}']")
        for metric in ("empty/loss", "misfits/text"):
            expect(page.locator(chart(metric)).locator(".why")).to_be_visible()
            expect(page.locator(chart(metric)).locator(".plot-area")).to_be_hidden()


def test_a_server_that_ends_is_said(window: Watched, page: Page, port: int) -> None:
    """When ``ups show`` ends, an open page says that nobody answers."""
    window.allowed = ("ERR_CONNECTION_", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE")
    with shown(made(STAGED, "fno-adamw", "fno-lion"), port=port) as address:
        open_run(page, address, "fno-lion")
        page.wait_for_selector(DRAWN)
    expect(page.locator(".banner")).to_contain_text("does not answer")
    page.keyboard.press("x")
    lr = page.locator(chart("training/operator/lr"))
    expect(lr.locator(".plot-note")).to_contain_text("does not answer")
    expect(lr.locator(".js-line")).to_have_count(0)
    page.goto("about:blank")  # no server answers

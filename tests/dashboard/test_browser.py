"""The dashboard's pages in a real Chromium, on real runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboard.browser import (
    DRAWN,
    EVERY_VERDICT,
    LONG,
    NO_AXIS,
    STAGED,
    Take,
    Watched,
    chart,
    made,
    open_run,
    shape,
    shown,
    watched,
)
from ups.check import Verdict
from ups.dashboard.downsample import downsample

RUNS = ("fno-adamw", "fno-lion")


@pytest.fixture(scope="module")
def address(browser: Browser) -> Iterator[str]:
    """Shows a run of every verdict, two staged runs, a long one, and one without the stages' axis."""
    with shown(made(EVERY_VERDICT), made(STAGED, *RUNS), made(LONG), made(NO_AXIS)) as where:
        yield where


def verdicts(page: Page) -> dict[str, str]:
    cards = page.locator(".board .chart")
    return dict(cards.evaluate_all("cards => cards.map(card => [card.dataset.metric, card.dataset.verdict])"))


def test_every_verdict_is_said_on_its_chart(page: Page, address: str, take: Take) -> None:
    """A chart that is not full has a chip with its verdict; an empty one says in its place why, and how to mend it."""
    open_run(page, address, "every verdict")
    page.wait_for_selector(DRAWN)
    assert set(verdicts(page).values()) == {str(verdict) for verdict in Verdict}
    take(page, "every-verdict")
    for metric, verdict in verdicts(page).items():
        chip = page.locator(chart(metric)).locator(".chart-head .chip")
        if verdict == "full":
            expect(chip).to_be_hidden()
        else:
            expect(chip).to_have_text(verdict.replace("-", " "))
    empty = page.locator(chart("empty/loss"))
    expect(empty.locator(".explanation .what")).to_contain_text("12 rows that hold empty/loss lack")
    expect(empty.locator(".fix code").first).to_contain_text("run.log(")
    frozen = page.locator(chart("frozen/loss"))
    expect(frozen.locator(".why")).to_be_hidden()
    frozen.locator(".chip").click()
    expect(frozen.locator(".why .cause")).to_be_visible()
    page.get_by_role("tab", name="Findings").click()
    page.wait_for_selector(".finding")
    codes = set(page.locator(".finding").evaluate_all("list => list.map(item => item.dataset.code)"))
    assert codes >= {str(verdict) for verdict in Verdict} - {"full"}
    take(page, "findings")


def test_a_fix_is_copied(page: Page, address: str) -> None:
    """The button beside a fix puts it on the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_run(page, address, "every verdict")
    page.locator(chart("empty/loss")).locator(".copy").first.click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert "run.log(" in page.evaluate("navigator.clipboard.readText()")
    page.context.clear_permissions()


def test_the_switch_shows_what_was_meant(page: Page, address: str, take: Take) -> None:
    """The switch draws the repaired charts: a frozen chart becomes a line over its steps, and is full."""
    open_run(page, address, "every verdict")
    page.wait_for_selector(f"{chart('frozen/loss')}[data-drawn]")
    frozen = shape(page, chart("frozen/loss"))
    page.keyboard.press("v")
    page.wait_for_selector(f"{chart('frozen/loss')}[data-drawn][data-view=meant][data-verdict=full]")
    expect(page.get_by_role("radio", name="As it was meant")).to_be_checked()
    page.wait_for_function(
        "([metric, old]) => document.querySelector(metric + ' .js-line').getAttribute('d') !== old",
        arg=[chart("frozen/loss"), frozen[0]],
    )
    take(page, "as-it-was-meant")
    page.get_by_role("radio", name="As W&B draws it").click()
    page.wait_for_selector(f"{chart('frozen/loss')}[data-view=wandb][data-verdict=frozen]")
    page.wait_for_function(
        "([metric, old]) => document.querySelector(metric + ' .js-line').getAttribute('d') === old",
        arg=[chart("frozen/loss"), frozen[0]],
    )


def test_nan_is_a_mark_in_a_gap(page: Page, address: str) -> None:
    """The line is broken where values are NaN, smoothed too, and each NaN stands on the chart as a mark."""
    open_run(page, address, "fno-adamw")
    loss = chart("training/operator/loss")
    page.wait_for_selector(f"{loss}[data-drawn]")
    assert len(shape(page, loss)) == 2
    expect(page.locator(loss).locator(".scatterlayer .point")).to_have_count(2)
    page.get_by_label("Smoothing").fill("0.5")
    page.wait_for_function("loss => document.querySelectorAll(loss + ' .js-line').length === 4", arg=loss)


def test_a_reduced_line_is_smoothed_as_a_whole(page: Page, address: str) -> None:
    """Where most values are low and a few high, the smoothed line is that of all points, not of those drawn."""
    open_run(page, address, "long")
    loss = chart("training/train/loss")
    page.wait_for_selector(f"{loss}[data-drawn][data-exact=false][data-end='6000']")
    page.get_by_label("Smoothing").fill("0.95")
    page.wait_for_function("loss => document.querySelectorAll(loss + ' .js-line').length === 2", arg=loss)
    drawn = page.locator(loss).locator(".plot").evaluate("plot => [...plot.data[1].y]")
    assert np.median(drawn) == pytest.approx(0.1533, abs=0.005)

    rng = np.random.default_rng(0)
    x, y = np.arange(60_000.0), rng.exponential(size=60_000) * (2 + np.sin(np.arange(60_000) / 5_000))
    course = downsample(x, y, 400).course
    assert course is not None
    given = {name: values.tolist() for name, values in vars(course).items()}
    for weight in (0.6, 0.95):
        smooth = page.evaluate(
            "async ([course, weight]) => (await import('/static/smoothing.js')).smoothed(course, weight, 59_999)",
            [given, weight],
        )
        kept, whole = weight ** (0.5 * 1000 / 59_999), []
        total = weights = 0.0
        for value in y.tolist():
            total, weights = total * kept + value, weights * kept + 1
            whole.append(total / weights)
        np.testing.assert_allclose(smooth, np.array(whole)[course.x.astype(int)], atol=0.12)


def test_the_numbers_on_the_axes_can_be_read(page: Page, address: str) -> None:
    """Each number is whole, differs from the others, and is as long as it must be, on a log scale too."""
    open_run(page, address, "long")
    told = """card => {
        const edge = card.getBoundingClientRect().left;
        const labels = [...card.querySelectorAll(".ytick text")];
        const cut = labels.filter(label => label.getBoundingClientRect().left < edge);
        return [labels, cut].map(some => some.map(label => label.textContent));
    }"""
    for scale in ("linear", "log"):
        for metric, ticks in (
            ("plateau", [f"0.693147{digits}" for digits in (18, 20, 22, 24)]),
            ("vast", ["0", "2e203", "4e203", "6e203"] if scale == "linear" else ["1e202", "1e203"]),
        ):
            page.wait_for_selector(f"{chart(f'training/train/{metric}')}[data-drawn][data-end='6000']")
            labels = page.locator(chart(f"training/train/{metric}")).evaluate(told)
            assert (scale, *labels) == (scale, ticks, [])
        page.keyboard.press("l")
        page.wait_for_function(
            "card => document.querySelector(card + ' .ytick text').textContent !== '0'",
            arg=chart("training/train/vast"),
        )
        below = page.locator(chart("training/train/vast")).locator(".axis-name:visible")
        expect(below).to_have_text(["values ≤ 0 not shown"] if scale == "linear" else [])  # of the scale now pressed
    steps = page.evaluate(
        """async () => {
            const { extent, figure } = await import("/static/plot.js");
            const lines = [{ x: [0, 60000], y: [0, 1], breaks: [], marks: [], color: "--c0" }];
            const range = extent(lines, { logY: false, window: null, height: 200 });
            const place = document.body.appendChild(document.createElement("div"));
            const { traces, layout } = figure(lines, range, { width: 400 });
            await Plotly.newPlot(place, traces, { ...layout, width: 400, height: 200 });
            return [...place.querySelectorAll(".xtick text")].map(label => label.textContent);
        }"""
    )
    assert [step for step in steps if not step.endswith("k")] == ["0"]


def test_zoom_refines(page: Page, address: str, take: Take) -> None:
    """A reduced chart keeps its one-point spike, and a window dragged on it is drawn with all of its points."""
    open_run(page, address, "long")
    loss = page.locator(chart("training/train/loss"))
    page.wait_for_selector(f"{chart('training/train/loss')}[data-drawn][data-exact=false][data-end='6000']")
    assert int(loss.get_attribute("data-points") or 0) < 3000
    label = loss.locator(".plot-area").get_attribute("aria-label") or ""
    assert "6,000 points" in label
    box = loss.locator(".plot-area").bounding_box()
    assert box is not None
    spike = box["x"] + 50 + (box["width"] - 62) * 4_321 / 6_000
    page.mouse.move(spike - 12, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(spike + 12, box["y"] + 62, steps=4)
    page.mouse.up()
    page.wait_for_selector(f"{chart('training/train/loss')}[data-refined='1'][data-exact=true]")
    low, high = map(float, (loss.get_attribute("data-zoom") or "").split())
    assert low < 4_321 < high
    assert high - low < 1000
    assert int(loss.get_attribute("data-points") or 0) >= int(high - low)
    take(page, "zoom")
    loss.get_by_role("button", name="Show the whole chart").click()
    page.wait_for_selector(f"{chart('training/train/loss')}[data-exact=false]:not([data-zoom])")
    loss.locator(".plot-area").hover()
    page.mouse.down()
    page.mouse.move(spike + 12, box["y"] + 62, steps=4)
    page.mouse.up()
    expect(loss.locator(".unzoom")).to_be_visible()
    page.keyboard.press("x")
    page.wait_for_selector(f"{chart('training/train/loss')}[data-end]:not([data-zoom])")
    expect(loss.locator(".unzoom")).to_be_hidden()


def test_compare(page: Page, address: str, take: Take) -> None:
    """Two runs chosen on the runs page are drawn over each other, and one is hidden by its box."""
    page.goto(address)
    page.get_by_label("Choose fno-adamw").check()
    page.get_by_label("Choose fno-lion").check()
    take(page, "runs-chosen")
    page.get_by_role("link", name="Compare 2 runs").click()
    loss = chart("training/consistency_distill/loss")
    page.wait_for_selector(DRAWN)
    page.locator(loss).scroll_into_view_if_needed()
    page.wait_for_selector(f"{loss}[data-drawn]")
    assert len(shape(page, loss)) == 2
    page.locator(loss).locator(".plot-area").hover(position={"x": 150, "y": 60})
    expect(page.locator(loss).locator(".tip")).to_contain_text("fno-lion")
    take(page, "compare")
    note = page.locator("section", has=page.locator(loss)).locator(".section-note")
    expect(note).to_have_text("against training/consistency_distill/step")
    page.get_by_label("fno-lion", exact=True).uncheck()
    page.wait_for_function("loss => document.querySelectorAll(loss + ' .scatterlayer .js-line').length === 1", arg=loss)
    keys = {card["name"]: card["key"] for card in httpx.get(f"{address}/api/runs").json()["runs"]}
    page.goto(f"{address}/compare?run={keys['no axis']}&run={keys['fno-adamw']}")
    operator = page.locator("section[aria-label=operator]")
    expect(operator.locator(".section-note")).to_have_text("against training/operator/step")
    expect(operator.locator(chart("training/operator/loss")).locator(".axis-name:visible")).to_have_text(
        "against different axes: W&B's step in no axis; training/operator/step in fno-adamw"
    )
    expect(operator.locator(chart("training/operator/lr")).locator(".axis-name:visible")).to_have_count(0)


def test_the_cursor_goes_through_the_charts_of_a_stage(page: Page, address: str) -> None:
    """Hovering one chart shows the values at the same step in the others of its stage, and in no other stage."""
    open_run(page, address, "fno-adamw")
    page.wait_for_selector(f"{chart('training/operator/loss')}[data-drawn]")
    page.wait_for_selector(f"{chart('training/operator/lr')}[data-drawn]")
    page.locator(chart("training/operator/loss")).locator(".plot-area").hover(position={"x": 200, "y": 60})
    at = page.locator(chart("training/operator/loss")).locator(".chart-value .at")
    expect(at).to_be_visible()
    expect(page.locator(chart("training/operator/lr")).locator(".chart-value .at")).to_have_text(at.inner_text())
    expect(page.locator(chart("training/diffusion_residual/lr")).locator(".cursor-line")).to_be_hidden()


def test_tools_and_keys(page: Page, address: str, take: Take) -> None:
    """Search, smoothing, scales, stepping through points, full screen and the list of keys, all by keyboard."""
    open_run(page, address, "fno-adamw")
    loss = chart("training/operator/loss")
    page.wait_for_selector(f"{loss}[data-drawn]")
    plain = shape(page, loss)[0]
    page.keyboard.press("/")
    page.keyboard.type("operator loss")
    expect(page.locator(".board .chart:visible")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".board .chart:visible")).to_have_count(9)
    page.get_by_label("Smoothing").fill("0.9")
    page.wait_for_function("loss => document.querySelectorAll(loss + ' .js-line').length === 4", arg=loss)
    smooth = shape(page, loss)[2]
    assert smooth != plain
    page.get_by_label("Smoothing").fill("0")
    page.locator("h1").click()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Log y")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("x")
    expect(page.get_by_role("radio", name="Time")).to_be_checked()
    page.wait_for_selector(f"{loss}[data-end]")
    page.keyboard.press("x")
    page.keyboard.press("l")
    page.wait_for_selector(f"{loss}[data-end]")
    page.locator(loss).locator(".plot-area").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    said = page.locator(loss).locator(".plot-area").get_attribute("aria-valuetext") or ""
    assert said.endswith(" at 1")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chart.large[data-drawn]")
    take(page, "full-screen")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(loss).locator(".plot-area")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Find a chart")
    take(page, "keys")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.evaluate("location.hash = 'values'")
    expect(page.get_by_text("model.width")).to_be_visible()
    take(page, "values")
    page.keyboard.press("4")
    expect(page.get_by_role("cell", name="0.049")).to_be_attached()
    page.wait_for_function("() => document.querySelector('.image img')?.naturalWidth === 64")
    take(page, "media")


def test_every_control_has_a_name(page: Page, address: str) -> None:
    """Buttons, fields, charts and landmarks have names for a screen reader."""
    open_run(page, address, "fno-adamw")
    page.wait_for_selector(f"{chart('training/operator/lr')}[data-end]")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, a, [role=slider], [role=radiogroup], section, dialog')]
            .filter(each => !(each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')
                || each.labels?.length || each.textContent.trim()))
            .map(each => each.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    for landmark in ("banner", "main", "navigation"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    label = page.locator(chart("training/operator/lr")).locator("[role=slider]").get_attribute("aria-label")
    assert label is not None
    assert label.startswith("training/operator/lr, full, 300 points, last value ")


def test_a_chart_is_saved(page: Page, address: str, tmp_path: Path) -> None:
    """A chart's menu saves it as PNG, and all its points as CSV."""
    open_run(page, address, "fno-adamw")
    lr = page.locator(chart("training/operator/lr"))
    page.wait_for_selector(f"{chart('training/operator/lr')}[data-drawn]")
    lr.hover()
    with page.expect_download() as saved:
        lr.get_by_role("button", name="Save as PNG").click()
    saved.value.save_as(tmp_path / "lr.png")
    assert saved.value.suggested_filename == "training-operator-lr.png"
    assert (tmp_path / "lr.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with page.expect_download() as saved:
        lr.get_by_role("button", name="Save all points as CSV").click()
    saved.value.save_as(tmp_path / "lr.csv")
    lines = (tmp_path / "lr.csv").read_text().splitlines()
    assert lines[0].split(",")[::2] == ["training/operator/step", "training/operator/lr"]
    assert len(lines) == 301


def test_the_runs_page(page: Page, address: str, take: Take) -> None:
    """Each run has its state, stages and health; the filter and the columns' heads choose and order them."""
    page.goto(address)
    rows = page.locator("table.runs tbody tr")
    expect(rows).to_have_count(5)
    expect(rows.filter(has_text="every verdict").locator(".health")).to_have_text("1/13")
    expect(rows.filter(has_text="fno-lion").locator(".stage-pill")).to_have_text(
        ["operator", "diffusion_residual", "consistency_distill"]
    )
    expect(rows.locator(".rows").filter(has_text="–")).to_have_count(0)
    take(page, "runs")
    page.get_by_role("button", name="Rows").click()
    counts = [int(text.replace(",", "")) for text in rows.locator(".rows").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 6_000
    page.keyboard.press("/")
    page.keyboard.type("fno paper")
    expect(rows).to_have_count(2)
    page.get_by_role("link", name="fno-lion", exact=True).click()
    page.wait_for_selector('body[data-page="run"][data-ready="1"]')
    page.go_back()
    expect(rows).to_have_count(2)
    page.get_by_label("Filter the runs").fill("fno paper nothing")
    expect(page.get_by_text("No run matches the filter.")).to_be_visible()


def test_it_fits_a_phone_in_both_themes(browser: Browser, address: str, take: Take) -> None:
    """At 390 pixels no page is wider than the window, and the first paint has the system's colours."""
    options: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    wide = "document.documentElement.scrollWidth"
    with watched(browser, **options) as window:
        page = window.page
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            open_run(page, address, "every verdict")
            page.wait_for_selector(DRAWN)
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            assert page.evaluate(wide) == 390
            take(page, f"phone-{theme}")
            page.get_by_role("tab", name="Findings").tap()
            page.wait_for_selector(".finding")
            assert page.evaluate(wide) == 390
            open_run(page, address, "no axis")
            assert page.evaluate(wide) == 390
            page.goto(address)
            page.wait_for_selector("table.runs tbody tr")
            assert page.evaluate(wide) == 390
            take(page, f"phone-runs-{theme}")
            page.evaluate("localStorage.clear()")


def test_an_unknown_run_is_said(window: Watched, page: Page, address: str) -> None:
    """An address of a run that is not there says so."""
    window.allowed = ("404",)
    page.goto(f"{address}/run/nothing")
    expect(page.get_by_role("heading", name="This run is not here")).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name="Runs")).to_be_visible()
    key = httpx.get(f"{address}/api/runs").json()["runs"][0]["key"]
    with page.expect_response("**/api/events"):
        page.goto(f"{address}/compare?run={key}&run=deadbeef")
    expect(page.locator(".legend")).to_contain_text("there is no such run here")
    expect(page.locator(".banner")).to_be_hidden()

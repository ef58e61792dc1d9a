"""A real browser on the real dashboard: what every browser test watches for, and the runs that they open."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, expect, sync_playwright

from dashboard.server import show
from environments import THIS_SESSION, kept
from waiting import wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome")
expect.set_options(timeout=60_000)  # a machine may be busy
DRAWN = ".chart[data-end]"
Take = Callable[[Page, str], None]


def open_chromium() -> Iterator[Browser]:
    """A Chromium of this machine; without one the test is skipped, and fails where the variable ``CI`` is set."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        without_browser = pytest.fail if os.environ.get("CI") else pytest.skip
        without_browser(f"this machine has no browser called {', '.join(NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Watched:
    """A browser window with one page or more, and all that happened in it that must not."""

    page: Page
    context: BrowserContext
    hosts: set[str] = field(default_factory=set)
    schemes: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    allowed: tuple[str, ...] = ()

    def see(self, request: Request) -> None:
        """A request that the page makes."""
        where = urlsplit(request.url)
        self.schemes.add(where.scheme)
        if where.hostname:
            self.hosts.add(where.hostname)

    def hear(self, message: ConsoleMessage) -> None:
        """What the console shows. A page has its icon, but for an answer in JSON the browser looks for one."""
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            self.errors.append(message.text)

    def dismiss(self, dialog: Dialog) -> None:
        """A dialog that the page opens."""
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def assert_clean(self) -> None:
        """Nothing left the machine, the console is without errors, and no dialog was opened."""
        assert self.hosts <= {"127.0.0.1"}
        assert [text for text in self.errors if not any(part in text for part in self.allowed)] == []
        assert self.dialogs == []


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[Watched]:
    """A window of its own; whatever it did, it is clean at the end."""
    options = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"} | options
    context = browser.new_context(**options)
    context.set_default_timeout(60_000)
    window = Watched(context.new_page(), context)
    context.on("request", window.see)
    context.on("console", window.hear)
    context.on("weberror", lambda error: window.errors.append(str(error.error)))
    context.on("dialog", window.dismiss)
    try:
        yield window
    finally:
        context.close()
    window.assert_clean()


@contextmanager
def shown(*paths: Path, port: int = 0) -> Iterator[str]:
    """``ups show`` of some folders, as a user runs it; its address."""
    with show(*paths, options=("--port", str(port))) as dashboard:
        yield dashboard.address


def open_run(page: Page, address: str, name: str) -> None:
    """From the runs page to a run, by its name."""
    page.goto(address)
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_selector('body[data-page="run"][data-ready="1"]')


def chart(metric: str) -> str:
    """The selector of a metric's chart."""
    return f'.chart[data-metric="{metric}"]'


def shape(page: Page, selector: str) -> list[str]:
    """The path of each line that a chart draws."""
    lines = page.locator(selector).first.locator(".scatterlayer .js-line")
    drawn: list[str] = lines.evaluate_all("paths => paths.map(path => path.getAttribute('d'))")
    return drawn


def make(source: str, folder: Path, *arguments: str) -> None:
    """Run a script that makes runs below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), str(folder), *arguments], check=True, timeout=300, cwd=folder
    )


def made(source: str, *arguments: str) -> Path:
    """The folder with the runs of a script, which runs once for all tests of a session. Who changes a run copies it."""
    name = hashlib.sha256("\n".join([source, *arguments]).encode()).hexdigest()[:16]
    with kept(f"shown-{name}", THIS_SESSION) as (folder, new):
        if new:
            make(source, folder, *arguments)
    return folder


EVERY_VERDICT = """
    import sys, wandb
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(mode="offline", dir=sys.argv[1], project="verdicts", name="every verdict", settings=settings)
    run.define_metric("full/*", step_metric="full/step")
    run.define_metric("frozen/*", step_metric="frozen/step")
    run.define_metric("empty/loss", step_metric="empty/step", step_sync=False)
    run.define_metric("stale/*", step_metric="stale/step")
    run.define_metric("lagging/*", step_metric="lagging/step")
    run.define_metric("backwards/*", step_metric="backwards/step")
    run.define_metric("validation/*", step_metric="validation/step")
    run.define_metric("amb*", step_metric="global_step")
    run.define_metric("ambiguous/*", step_metric="ambiguous/step")
    run.define_metric("orphan_typo/*", step_metric="orphan/step")
    run.define_metric("misfits/*", step_metric="misfits/step")
    for step in range(12):
        value = 1 / (1 + step)
        run.log({"full/loss": value, "full/step": step})
        run.log({"frozen/loss": value})
        run.log({"empty/loss": value})
        run.log({"empty/step": step})
        run.log({"stale/loss": value, **({"stale/step": step} if step % 4 == 0 else {})})
        run.log({"lagging/loss": value})
        run.log({"lagging/step": step})
        run.log({"backwards/loss": value, "backwards/step": step % 7})
        run.log({"ambiguous/loss": value, "ambiguous/step": step, "global_step": step})
        run.log({"orphan/loss": value, "orphan/step": step})
        run.log({"misfits/text": "warm-up", "misfits/step": step})
        run.log({"misfits/diverged": float("nan") if step > 8 else value, "misfits/step": step})
    run.log({"misfits/once": 0.5, "misfits/step": 12})
    run.finish()
"""

NO_AXIS = """
    import sys, wandb
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    run = wandb.init(mode="offline", dir=sys.argv[1], project="verdicts", name="no axis", settings=settings)
    axis = "a_long_name_" * 8 + "/step"
    run.define_metric("accuracy", step_metric=axis)
    for step in range(12):
        run.log({"training/operator/loss": 1 / (1 + step), "accuracy": step, axis: step})
    run.finish()
"""

STAGED = """
    import math, random, sys
    import numpy as np
    import ups
    for seed, name in enumerate(sys.argv[2:]):
        rng = random.Random(seed)
        stages = {"operator": 300, "diffusion_residual": 200, "consistency_distill": 100}
        config = {"lr": 1e-3 * (seed + 1), "model": {"width": 64, "modes": 16}, "seed": seed}
        with ups.create_wandb_context(
            config, name, name=name, project="simulator", tags=["paper"],
            mode="local", stages=list(stages), dir=sys.argv[1],
        ) as ctx:
            for stage, steps in stages.items():
                for step in range(steps):
                    loss = math.exp(-(4 + seed) * step / steps) * (1 + 0.2 * rng.random()) + 0.01
                    if stage == "operator" and step in (150, 151):
                        loss = float("nan")
                    ctx.stage(stage).log(step, loss=loss, lr=1e-3 * (1 - step / steps), grad_norm=rng.random())
            ctx.log_eval_summary({"one_step_l2": 1.2e-3})
            ctx.log_table("errors", ["step", "l2"], [[step, step / 1000] for step in range(50)])
            picture = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype("uint8")
            ctx.log_image("rollout", picture, caption="step 20: error 0.1")
"""

DIGITS = """
    import sys, wandb
    settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    for name, begin in (("first", 2**60), ("second", 2**60 + 7)):
        run = wandb.init(mode="offline", dir=sys.argv[1], project="digits", name=name, settings=settings)
        run.config["seed"] = 2**60 + 1
        run.define_metric("ns/*", step_metric="ns/step")
        for step in range(30):
            values = {"bytes": 2**61 + step, "loss": 1 / (3 + step), "far": (-2) ** (step + 33), "step": begin + step}
            run.log({f"ns/{name}": value for name, value in values.items()})
        run.finish()
"""

LONG = """
    import sys
    import ups
    with ups.create_wandb_context({}, "long", name="long", mode="local", dir=sys.argv[1]) as ctx:
        stage = ctx.stage("train")
        for step in range(6_000):
            loss = 9.0 if step == 4_321 else (step % 10 / 10) ** 4
            stage.log(step, loss=loss, zero=-1.0, plateau=0.69314718 + step * 1e-11, vast=1e200 * step)
"""

LIVE = """
    import pathlib, sys, time
    import ups
    with ups.create_wandb_context({}, "live", name="live", mode="local", dir=sys.argv[1]) as ctx:
        stop, late = pathlib.Path(sys.argv[1], "stop"), pathlib.Path(sys.argv[1], "late")
        step = 0
        while not stop.exists():
            ctx.stage("first").log(step, loss=1 / (1 + step), accuracy=step / (step + 10))
            if late.exists():
                ctx.stage("second").log(step, loss=2.0)
            step += 1
            time.sleep(0.02)
"""


@contextmanager
def training(folder: Path, source: str = LIVE) -> Iterator[Path]:
    """A run that goes on until ``folder/stop`` exists: :data:`LIVE` with a second stage once ``folder/late`` does."""
    folder.mkdir(parents=True, exist_ok=True)
    trainer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), str(folder)], cwd=folder, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: list(folder.rglob("*.jsonl")) or trainer.poll() is not None)
        assert trainer.poll() is None, "the training ended before it began"
        yield folder
    finally:
        (folder / "stop").touch()
        trainer.wait(60)


def grown(metric: str, *pages: Page, by: int = 20) -> None:
    """Wait until a chart holds so many points more than now on each page, and its line is drawn to its right end."""
    ends = [int(page.locator(chart(metric)).get_attribute("data-end") or 0) for page in pages]
    for page, end in zip(pages, ends, strict=True):
        page.wait_for_function(
            "([chart, end]) => Number(document.querySelector(chart).dataset.end) >= end",
            arg=[chart(metric), end + by],
            polling=100,
        )
        page.wait_for_function(
            """chart => {
                const card = document.querySelector(chart);
                const end = card.querySelector('.js-line').getBoundingClientRect().right;
                return Math.abs(end - card.querySelector('.nsewdrag').getBoundingClientRect().right) < 4;
            }""",
            arg=chart(metric),
            polling=100,
        )

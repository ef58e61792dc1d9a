"""Draws ``before_after.png``: the same training logged by plain wandb and through UPS, in the real dashboard.

Trains the smoke preset, and logs its rows twice more: with ``run.log({metric: value}, step=step)``, each metric drawn
against a step metric that is defined but not logged, and with ``stage.log(step, …)``.

    python docs/pictures/before_after.py
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import wandb
from playwright.sync_api import Browser, sync_playwright

import ups

UPS = [sys.executable, "-m", "ups"]
STAGES = ("operator", "diffusion_residual", "consistency_distill")
METRICS = ("loss", "lr")
HALF = {"width": 800, "height": 1150}
PAGE = """<!doctype html><style>
body { margin: 0; padding: 20px; display: flex; gap: 20px; width: fit-content; background: #fff; color: #1c2128 }
h1 { font: 600 22px system-ui, sans-serif; margin: 0 0 12px }
h1 code { font-size: 17px; color: #57606a; font-weight: 400 }
img { display: block; width: 800px; border: 1px solid #d0d7de; border-radius: 10px }
</style>"""

Rows = dict[str, list[dict[str, float]]]  # by stage


def trained(folder: Path) -> Rows:
    """The rows of a real training."""
    offline = {**os.environ, "WANDB_MODE": "offline"}
    subprocess.run([*UPS, "train", "--preset", "smoke", "--dir", folder], env=offline, check=True)
    (path,) = folder.iterdir()
    run = ups.open_run(path)
    columns = {stage: [run.series(f"training/{stage}/{name}").y for name in METRICS] for stage in STAGES}
    return {
        stage: [dict(zip(METRICS, map(float, values), strict=True)) for values in zip(*series, strict=True)]
        for stage, series in columns.items()
    }


def plain(rows: Rows, folder: Path) -> None:
    """As the obvious code logs them: the step metric is named, and never logged."""
    run = wandb.init(mode="offline", id="training", dir=folder, settings=wandb.Settings(silent=True))
    for stage, logged in rows.items():
        for name in METRICS:
            run.define_metric(f"training/{stage}/{name}", step_metric=f"training/{stage}/step")
        for step, row in enumerate(logged):
            run.log({f"training/{stage}/{name}": value for name, value in row.items()}, step=step)
    run.finish()


def through_ups(rows: Rows, folder: Path) -> None:
    with ups.create_wandb_context({}, run_id="training", mode="offline", dir=folder, stages=STAGES) as ctx:
        for stage, logged in rows.items():
            for step, row in enumerate(logged):
                ctx.stage(stage).log(step, **row)


def shot(browser: Browser, folder: Path) -> bytes:
    """The charts of the only run below a folder, as the dashboard shows them."""
    server = subprocess.Popen([*UPS, "show", folder, "--no-open", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        page = browser.new_page(viewport=HALF, device_scale_factor=1.5)
        page.goto(found[0])
        page.locator("a.run-link").first.click()
        page.wait_for_selector(".chart")
        page.wait_for_timeout(4000)
        return page.screenshot()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ups-picture-") as scratch, sync_playwright() as playwright:
        folders = {name: Path(scratch) / name for name in ("trained", "plain", "ups")}
        for folder in folders.values():
            folder.mkdir()
        rows = trained(folders["trained"])
        plain(rows, folders["plain"])
        through_ups(rows, folders["ups"])
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        halves = {
            "Before: <code>run.log({metric: value}, step=step)</code>": shot(browser, folders["plain"]),
            "After: <code>stage.log(step, loss=…, lr=…)</code>": shot(browser, folders["ups"]),
        }
        body = "".join(
            f'<div><h1>{title}</h1><img src="data:image/png;base64,{base64.b64encode(picture).decode()}"></div>'
            for title, picture in halves.items()
        )
        page = browser.new_page(viewport={"width": 1660, "height": 600})
        page.set_content(PAGE + body)
        page.screenshot(path=Path(__file__).with_suffix(".png"), full_page=True)
        browser.close()


if __name__ == "__main__":
    main()

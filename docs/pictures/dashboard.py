"""Draws ``dashboard.png``: the real dashboard in a real browser, on a run of the simulator.

python docs/pictures/dashboard.py [FOLDER]   FOLDER holds the run; without it `ups train --preset quick` makes one
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

UPS = [sys.executable, "-m", "ups"]
SIZE = {"width": 1400, "height": 880}


def train(folder: str) -> None:
    named = ["--project", "neural-simulator", "--name", "kuramoto-sivashinsky"]
    subprocess.run([*UPS, "train", "--preset", "quick", "--mode", "offline", *named], cwd=folder, check=True)


def draw(folder: str) -> None:
    server = subprocess.Popen([*UPS, "show", folder, "--no-open", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found is not None
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport=SIZE, device_scale_factor=1.5)
            page.goto(found[0])
            page.locator("a.run-link").first.click()
            page.wait_for_selector(".chart[data-end]")
            page.get_by_role("button", name="Log y").click()
            chart = page.locator('.chart[data-metric="training/operator/loss"] .plot-area')
            chart.hover(position={"x": 170, "y": 90})
            page.wait_for_timeout(1500)
            page.screenshot(path=Path(__file__).with_suffix(".png"))
            browser.close()
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    if sys.argv[1:]:
        draw(sys.argv[1])
        return
    with tempfile.TemporaryDirectory(prefix="ups-picture-") as folder:
        train(folder)
        draw(folder)


if __name__ == "__main__":
    main()

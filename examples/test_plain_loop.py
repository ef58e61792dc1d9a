"""A test of the plain loop: every chart is full, and the stage has all of its points.

Run it with: pytest test_plain_loop.py
"""

import runpy
from pathlib import Path

from ups.testing import WandbCharts


def test_every_chart_is_full(wandb_charts: WandbCharts) -> None:
    runpy.run_path(str(Path(__file__).with_name("plain_loop.py")))
    wandb_charts.assert_all_full()
    assert wandb_charts["training/operator/loss"].points == 100

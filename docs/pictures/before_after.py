"""Draws ``before_after.svg``: the same three stages logged by plain wandb and through UPS, each read back and checked.

python docs/pictures/before_after.py
"""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

import ups
from ups.check import check_run
from ups.report import render_tree

STAGES = {"operator": 100, "diffusion_residual": 50, "consistency_distill": 30}
PLAIN = """
import math, sys, wandb
quiet = wandb.Settings(silent=True, x_disable_stats=True)
run = wandb.init(mode="offline", id="plain", dir=sys.argv[1], settings=quiet)
for stage, steps in {stages}.items():
    run.define_metric(f"training/{{stage}}/*", step_metric=f"training/{{stage}}/step")
    for step in range(steps):
        run.log({{f"training/{{stage}}/loss": math.exp(-step / 20), f"training/{{stage}}/lr": 1e-3}}, step=step)
run.finish()
"""


def plain(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", PLAIN.format(stages=STAGES), str(folder)], check=True)


def through_ups(folder: Path) -> None:
    with ups.create_wandb_context({}, "through-ups", mode="offline", dir=folder, stages=list(STAGES)) as ctx:
        for stage, steps in STAGES.items():
            for step in range(steps):
                ctx.stage(stage).log(step, loss=math.exp(-step / 20), lr=1e-3 * (1 - step / steps))


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="ups-picture-"))
    plain(folder)
    through_ups(folder)
    console = Console(record=True, width=84, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for call, path in (
        ("run.log({metric: value}, step=step)", folder / "wandb"),
        ("stage.log(step, loss=…, lr=…)", folder / "through-ups"),
    ):
        console.print(Text(f"$ ups check   # {call}", style="bold"))
        console.print(render_tree(check_run(ups.open_run(path))))
        console.print()
    svg = console.export_svg(title="UPS: the same training, before and after")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # a picture fetches nothing
    Path(__file__).with_suffix(".svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()

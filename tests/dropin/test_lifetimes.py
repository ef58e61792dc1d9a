"""How a script begins and ends its runs, plainly and with one line: the same runs, exit codes and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alone import run_alone
from dropin.compared import assert_the_same, runs_below
from environments import THIS_SESSION, kept
from held import read_held

SCRIPTS = {
    "finish-is-missing": """
run = wandb.init()
log(5)
""",
    "it-raises": """
run = wandb.init()
log(5)
raise ValueError("no data")
""",
    "it-exits": """
import sys
run = wandb.init()
log(5)
sys.exit(3)
""",
    "with-raises": """
with wandb.init() as run:
    log(5)
    raise ValueError("no data")
""",
    "init-twice": """
one = wandb.init(config={"a": 1})
log(3)
two = wandb.init(config={"b": 2})
assert one is two
log(3)
wandb.finish()
""",
    "finish-previous": """
one = wandb.init(id="one")
log(3)
two = wandb.init(id="two", reinit="finish_previous")
assert wandb.run is two
log(4)
""",
    "side-by-side": """
one = wandb.init(id="one", reinit="create_new")
two = wandb.init(id="two", reinit="create_new")
for step in range(3):
    one.log({"loss": step})
    two.log({"loss": -step})
two.finish()
one.log({"loss": 9})
""",
    "dies-in-init": """
wandb.init(project="a/b")
""",
    "dies-after-a-failed-init": """
try:
    wandb.init(project="a/b")
except wandb.errors.UsageError:
    wandb.init(project="c")
log(2)
""",
    "logs-after-finish": """
run = wandb.init(id="ended")
log(2)
run.finish()
run.log({"loss": 1.0})
""",
    "logs-before-init": """
wandb.log({"loss": 1.0})
""",
    "teardown": """
wandb.init(id="one")
log(2)
wandb.teardown()
wandb.init(id="two")
log(3)
""",
}
RUN_ALL = """
import json, os, sys, wandb
scripts = json.loads(sys.argv[1])
ends = {}

def log(rows):
    for step in range(rows):
        wandb.log({"loss": 1.0 / (step + 1)})

for name, source in scripts.items():
    for way in ("plain", "journaled"):
        folder = f"{name}/{way}"
        os.makedirs(folder)
        if os.fork() == 0:
            os.chdir(folder)
            printed = os.open("printed.txt", os.O_WRONLY | os.O_CREAT)
            os.dup2(printed, 1)
            os.dup2(printed, 2)
            if way == "journaled":
                import ups
                ups.guard()
            ends = None
            break
        ends[folder] = os.waitstatus_to_exitcode(os.wait()[1])
    if ends is None:
        exec(compile(source, name, "exec"))
        break
else:
    with open("ends.json", "w") as file:
        json.dump(ends, file)
"""


def folder_of_all() -> Path:
    """A folder with the runs of each script in each way, which forks of one process have made."""
    with kept("dropin-lifetimes", THIS_SESSION) as (folder, new):
        if new:
            own = {"WANDB_MODE": "offline", "WANDB_X_DISABLE_STATS": "true"}
            run_alone(folder, "-c", RUN_ALL, json.dumps(SCRIPTS), **own)
    return folder


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_ends_as_it_does_plainly(name: str) -> None:
    """The exit code of the process, the last line of a traceback, the runs, their rows and their exit codes."""
    folder = folder_of_all()
    ends = json.loads((folder / "ends.json").read_text())
    plain, journaled = (folder / name / way for way in ("plain", "journaled"))
    printed = (journaled / "printed.txt").read_text()
    assert ends[f"{name}/journaled"] == ends[f"{name}/plain"], printed
    assert errors_in(printed) == errors_in((plain / "printed.txt").read_text())
    runs: list[Any] = [runs_below(plain), runs_below(journaled)]
    assert len(runs[0]) == len(runs[1]), printed
    for one, other in zip(*runs, strict=True):
        assert_the_same(one, other)
        assert len(read_held(other).rows) > 0


def errors_in(printed: str) -> list[str]:
    """The last line of each traceback."""
    return [line for line in printed.splitlines() if line.startswith(("ValueError", "wandb.errors", "wandb.sdk"))]

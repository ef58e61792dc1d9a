"""A sweep's agent, whose trials call wandb themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from wandb_server import WandBServer, run_client

SCRIPT = """
{line}
import wandb
import wandb.agents.pyagent

def train():
    run = wandb.init()
    for step in range(10):
        wandb.log({{"loss": wandb.config.lr / (step + 1)}})
    run.summary["best"] = run.config["lr"]

wandb.agents.pyagent.Agent.HEARTBEAT_SLEEP_SECONDS = 0.5
wandb.agent("sweep-1", function=train, project="p", count=2)
"""
TRIALS = {"one": {"lr": 0.1}, "two": {"lr": 0.2}}


@pytest.mark.parametrize("line", ["", "import ups; ups.guard()"], ids=["plain", "one-line"])
def test_each_trial_is_a_run_of_the_sweep(wandb_server: WandBServer, tmp_path: Path, line: str) -> None:
    """With its parameters, its rows, and the end of its function as its end."""
    wandb_server.store.trials += TRIALS.items()
    run_client(wandb_server, tmp_path, SCRIPT.format(line=line))
    for run_id, parameters in TRIALS.items():
        run = wandb_server.run(run_id)
        assert (run.state, run.sweep) == ("finished", "sweep-1")
        assert run.points("_step", "loss") == [(step, parameters["lr"] / (step + 1)) for step in range(10)]
        assert (run.config["lr"], run.summary["best"]) == (parameters["lr"], parameters["lr"])

"""A run made through UPS has all that a plain ``wandb.init`` run of the same script has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.proto import wandb_internal_pb2

from held import Held, read_held
from wandb_server import WandBServer, start_process

LOOP = """
import sys, time
{start}
for step in range({steps}):
    {log}
    print("step", step)
    time.sleep(0.1)
print("an error of sorts", file=sys.stderr)
run.finish()
"""
LONG = 45
"""So many steps that W&B measures the system while they run."""
BALLAST = 600_000_000
PLAIN = LOOP.format(start="import wandb; run = wandb.init()", log="run.log({'loss': step})", steps=LONG)


def through_ups(*, steps: int, ballast: int = 0) -> str:
    """The same script through UPS, holding so many bytes of memory."""
    start = f"""import ups
ballast = bytearray({ballast})
run = ups.create_wandb_context()
while run.mode == "offline" and not list(run.dir.glob("wandb/*run-*/*.wandb")):  # W&B measures from then on
    time.sleep(0.01)
"""
    return LOOP.format(start=start, log="run.stage('a').log(step, loss=step)", steps=steps)


SETTINGS = {
    "WANDB_PROJECT": "the-project",
    "WANDB_ENTITY": "the-entity",
    "WANDB_TAGS": "one,two",
    "WANDB_RUN_GROUP": "the-group",
    "WANDB_NOTES": "the notes",
    "WANDB_NAME": "the name",
    "WANDB_JOB_TYPE": "the-job",
    "WANDB_X_STATS_SAMPLING_INTERVAL": "0.5",
}


def repository(folder: Path) -> Path:
    """A git checkout in a folder."""
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    root = folder / "repository"
    (root / "scripts").mkdir(parents=True)
    commands = [
        ["git", "init", "-q"],
        ["git", "remote", "add", "origin", "https://someone:secret@example.com/some/where.git"],
        ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "one"],
    ]
    for command in commands:
        subprocess.run(command, cwd=root, env={**os.environ, "HOME": str(folder)}, check=True)
    return root


def run_script(
    checkout: Path, source: str, place: Path, mode: str, arguments: tuple[str, ...] = ("--width", "32")
) -> None:
    """Run a training script of the checkout with wandb's settings, its run below ``place``."""
    (checkout / "scripts" / "train.py").write_text(source)
    place.mkdir(exist_ok=True)
    environment = {**os.environ, **SETTINGS, "HOME": str(place), "WANDB_MODE": mode, "WANDB_DIR": str(place)}
    subprocess.run([sys.executable, "scripts/train.py", *arguments], cwd=checkout, env=environment, check=True)


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the script left offline: ``plain`` by wandb alone, ``ours`` through UPS."""
    folder = tmp_path_factory.mktemp("side-by-side")
    checkout = repository(folder)
    run_script(checkout, PLAIN, folder / "plain", "offline")
    run_script(checkout, through_ups(steps=LONG, ballast=BALLAST), folder / "ours", "offline")
    return folder


def strip(environment: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in environment.items() if name not in names}


def test_offline_side_by_side(side_by_side: Path) -> None:
    """System metrics, console, git, program, arguments, Python and the ``WANDB_*`` settings are the plain run's."""
    plain, ours = read_held(side_by_side / "plain"), read_held(side_by_side / "ours")
    (plain_run,), (our_run,) = plain.runs, ours.runs
    for field in ("project", "entity", "tags", "run_group", "notes", "display_name", "job_type", "host"):
        assert our_run[field] == plain_run[field], field
    assert strip(our_run["git"], "remote_url") == strip(plain_run["git"], "remote_url")
    assert our_run["git"]["remote_url"] == "https://example.com/some/where.git"  # no name, which may be a token
    differing = ("started_at", "writer_id", "root", "disk", "memory", "git")
    assert [strip(e, *differing) for e in ours.environments] == [strip(e, *differing) for e in plain.environments]
    assert len(ours.stats) >= 2
    assert {i["key"] for s in ours.stats for i in items(s)} >= {i["key"] for s in plain.stats for i in items(s)}
    assert printed(ours) == printed(plain)
    assert ours.exit_codes == plain.exit_codes == [0]


def items(stats: dict[str, Any]) -> list[dict[str, Any]]:
    item = stats["item"]
    return [{"key": key} for key in item] if isinstance(item, dict) else list(item)


def printed(held: Held) -> list[str]:
    return [line for line in held.console.splitlines() if line.startswith(("step", "an error"))]


def test_the_system_metrics_are_those_of_the_training(side_by_side: Path) -> None:
    """A training that holds much memory is seen to, though delivery holds little."""
    held = read_held(side_by_side / "ours")
    memory = [s["item"].get("proc.memory.rssMB") for s in held.stats if isinstance(s["item"], dict)]
    assert max(float(value) for value in memory if value is not None) > 550


def test_a_secret_in_the_remote_is_not_kept(side_by_side: Path) -> None:
    """The password in a git remote's address is neither in the run's directory nor in W&B's file."""
    for path in (side_by_side / "ours").rglob("*"):
        if path.is_file():
            assert b"someone:secret" not in path.read_bytes(), path


def test_local_mode_records_what_can_be_recorded(tmp_path: Path) -> None:
    """Where no wandb runs, git, program, arguments and console are noted, and delivered later from elsewhere."""
    arguments = ("--width", "32", "--api-key", "secret", "hf_token=secret")
    masked = ["--width", "32", "--api-key", "********", "hf_token=********"]
    run_script(repository(tmp_path), through_ups(steps=3), tmp_path, "local", arguments)
    (run_dir,) = (tmp_path / "ups-runs").iterdir()
    assert not (run_dir / "wandb").exists()
    described = json.loads((run_dir / "run.json").read_text())
    assert described["program_path"] == "scripts/train.py"
    assert described["arguments"] == masked
    assert described["git_remote"] == "https://example.com/some/where.git"  # no name, which may be a token
    assert len(described["git_commit"]) == 40

    subprocess.run(
        [sys.executable, "-m", "ups", "deliver", str(run_dir), "--mode", "offline"],
        check=True,
        env={**os.environ},
        cwd=tmp_path,
    )
    held = read_held(run_dir)
    assert len(held.stage("a")) == 3
    assert held.runs[0]["git"]["commit"] == described["git_commit"]
    assert held.runs[0]["project"] == "the-project"
    assert held.runs[0]["notes"] == "the notes"
    for environment_record in held.environments[:1]:  # where wandb has such records
        assert environment_record["args"] == masked
        assert environment_record["program"].endswith("scripts/train.py")
    assert bool(held.environments) == hasattr(wandb_internal_pb2, "EnvironmentRecord")
    assert printed(held) == ["step 0", "step 1", "step 2", "an error of sorts"]


def test_a_sweep_gives_id_and_parameters(tmp_path: Path, script: Callable[..., Any], wandb_server: WandBServer) -> None:
    """With a sweep agent's variables the run takes its id and parameters, and is part of the sweep at the server."""
    parameters = tmp_path / "config-swept.yaml"
    parameters.write_text(yaml.safe_dump({"wandb_version": 1, "lr": {"value": 0.25}, "width": {"value": 64}}))
    source = """
    import ups
    with ups.create_wandb_context({"lr": 1.0, "depth": 3}, project="p") as ctx:
        assert dict(ctx.config) == {"lr": 0.25, "depth": 3, "width": 64}, ctx.config
        assert ctx.run_id == "swept"
        ctx.stage("a").log(0, loss=1.0)
    """
    import textwrap

    process = start_process(
        wandb_server,
        tmp_path,
        ["-c", textwrap.dedent(source)],
        WANDB_SWEEP_ID="sweep7",
        WANDB_RUN_ID="swept",
        WANDB_SWEEP_PARAM_PATH=str(parameters),
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    run = wandb_server.run("swept")
    assert run.sweep == "sweep7"
    assert {name: run.config[name] for name in ("lr", "depth", "width")} == {"lr": 0.25, "depth": 3, "width": 64}

"""``ups train`` as a person meets it: in a process of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.shell_completion import BashComplete

from held import read_held
from simulator.here import UPSHere
from smoke_training import smoke_training
from ups.cli import command, main
from ups.cli.train import _ups
from ups.simulator.checkpoint import load_checkpoint
from ups.simulator.config import presets
from ups.simulator.solver import PROBLEMS
from ups.simulator.trained import CONTROL, STAGES

STEPS = {"operator": 60, "diffusion_residual": 50, "consistency_distill": 25, "control": 160}
SMALL = [
    "--set",
    "data.points=32",
    "--set",
    "data.train_trajectories=8",
    "--set",
    "training.save_every=100000",
]


def ups(*arguments: str, folder: Path, mode: str = "local") -> subprocess.Popen[str]:
    """Start ``ups`` in a folder, by default tracked into a journal alone."""
    return subprocess.Popen(
        [sys.executable, "-m", "ups", *arguments],
        cwd=folder,
        env=os.environ | {"WANDB_MODE": mode},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def journaled(folder: Path, stage: str) -> int:
    """How many rows of a stage are in the journals of the one run in a folder."""
    mark = f'"stage":"{stage}"'.encode()
    return sum(path.read_bytes().count(mark) for path in folder.glob("ups-runs/*/journal/*.jsonl"))


def run_of(folder: Path) -> Path:
    """The one run directory in a folder."""
    (found,) = (folder / "ups-runs").iterdir()
    return found


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(ups_here: UPSHere, tmp_path: Path) -> None:
    """Ctrl-C exits 130 with a checkpoint of the last step logged; --resume goes on at the next and finishes."""
    steps = ["--set", "stages.operator.steps=100000"]
    training = ups("train", "--preset", "smoke", *SMALL, *steps, "--stage", "operator", folder=tmp_path)
    deadline = time.monotonic() + 300
    while sum(len(path.read_bytes().splitlines()) for path in tmp_path.glob("ups-runs/*/journal/*.jsonl")) < 30:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate(timeout=300)
    assert training.returncode == 130, errors
    run_dir = run_of(tmp_path)
    assert f"ups train --resume ups-runs/{run_dir.name}" in errors
    assert "Traceback" not in errors

    saved = load_checkpoint(run_dir / "checkpoints" / "operator.pt")
    assert saved is not None
    (journal,) = (run_dir / "journal").glob("*.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    assert saved.step == max(record["step"] for record in records if "step" in record)
    assert [record["end"] for record in records if "end" in record] == [{"exit_code": 130}]

    configuration = run_dir / "checkpoints" / "config.json"
    content = json.loads(configuration.read_text())
    content["stages"]["operator"]["steps"] = saved.step + 5
    configuration.write_text(json.dumps(content))
    assert "one-step L2" in ups_here("train", "--resume", "--stage", "operator", folder=tmp_path)
    assert run_of(tmp_path) == run_dir
    (second,) = (path for path in (run_dir / "journal").glob("*.jsonl") if path != journal)
    records = [json.loads(line) for line in second.read_text().splitlines()]
    assert [record["step"] for record in records if "step" in record] == [saved.step + 1 + i for i in range(5)]


def test_sigterm_before_the_first_step_says_how_to_go_on(tmp_path: Path) -> None:
    """A job scheduler's SIGTERM that comes while no stage trains ends it as Ctrl-C does, with what to do next."""
    many = ["--set", "data.points=32", "--set", "data.train_trajectories=20000"]
    training = ups("train", "--preset", "smoke", *many, folder=tmp_path)
    assert training.stdout is not None
    assert any("solving" in line for line in training.stdout)
    training.send_signal(signal.SIGTERM)
    _, errors = training.communicate(timeout=300)
    assert training.returncode == 130, errors
    assert f"ups train --resume ups-runs/{run_of(tmp_path).name}" in errors


def test_a_killed_training_goes_on_as_if_it_had_not_been(ups_here: UPSHere, tmp_path: Path) -> None:
    """SIGKILL in a random stage, then --resume: the weights of a run without it, and every step drawn once."""
    through, _ = smoke_training()
    training = ups("train", "--preset", "smoke", folder=tmp_path, mode="offline")
    stage = random.choice([*STEPS])
    steps = random.randrange(1, STEPS[stage])
    deadline = time.monotonic() + 300
    while journaled(tmp_path, stage) < steps:
        assert training.poll() is None, training.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    training.kill()
    training.wait()
    assert "28 of 28 charts full" in ups_here("train", "--resume", folder=tmp_path, mode="offline")
    cut = run_of(tmp_path)
    held = read_held(cut)
    for name, count in STEPS.items():
        assert [x for x, _ in held.stage(name)] == list(range(1, count + 1)), (stage, steps)
        expected, found = (load_checkpoint(run / "checkpoints" / f"{name}.pt") for run in (through, cut))
        assert expected is not None
        assert found is not None
        for key, weight in expected.model.items():
            assert torch.equal(weight, found.model[key]), (stage, steps, name, key)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "smokey"], "did you mean 'smoke'"),
        (["--preset", "smoke", "--set", "stages.operator.step=3"], "did you mean 'stages.operator.steps'"),
        (["--preset", "smoke", "--problem", "burger"], "did you mean 'burgers'"),
        (["--preset", "smoke", "--stage", "operators"], "did you mean 'operator'"),
        (["--resume"], "holds no run to resume"),
        (["--resume", "nowhere"], "nowhere is not a run of 'ups train'"),
        (["--resume", "nowhere", "--seed", "3"], "leave out the other settings"),
    ],
)
def test_a_wrong_call_exits_2_and_leaves_nothing(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument is said in one line, before a run is started."""
    monkeypatch.setattr(sys, "argv", ["ups", "train", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert message in errors[0]
    assert not list(Path.cwd().iterdir())


def test_the_names_that_a_shell_completes_are_those_there_are() -> None:
    """They stand beside the options, so that Tab does not wait for torch."""
    for option, names in {"preset": presets(), "problem": [*PROBLEMS], "stage": [*STAGES, CONTROL]}.items():
        completed = BashComplete(command, {}, "ups", "_UPS_COMPLETE").get_completions(["train", f"--{option}"], "")
        assert sorted(item.value for item in completed) == sorted(names)


def test_what_to_do_next_can_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the shell does not find ``ups``, what a training names next is the program itself, from here."""
    program = Path(sys.executable).with_name("ups")
    monkeypatch.setenv("PATH", str(program.parent))
    assert _ups() == "ups"
    monkeypatch.setenv("PATH", os.defpath)
    assert _ups() == str(program)
    monkeypatch.chdir(program.parent.parent)
    assert _ups() == str(program.relative_to(Path.cwd()))


def test_without_pytorch_the_message_says_what_to_install(tmp_path: Path) -> None:
    """A missing extra is one line that names it."""
    code = "import sys; sys.modules['torch'] = None; from ups.cli import main; sys.argv[1:] = ['train']; main()"
    process = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert process.returncode == 2
    assert "pip install 'ups-tracking[simulator]'" in process.stderr
    assert "Traceback" not in process.stderr

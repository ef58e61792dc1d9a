"""Bad input: a clear message that names the thing and says what to do, and nothing lost."""

from __future__ import annotations

import argparse
import builtins
import json
import math
import re
import subprocess
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ups
from held import read_held
from ups.errors import (
    InvalidName,
    InvalidStep,
    InvalidValue,
    RunDirectoryError,
    UsageError,
)
from ups.tracking.config import MASK, plain_config

Script = Callable[..., "subprocess.CompletedProcess[str]"]
CLASS = re.compile(r"^ *class (\w+)(?:\(([^)]*)\))?:", re.MULTILINE)
"""The beginning of a class in a source: its name and its bases."""


def journal(run_dir: Path) -> list[dict[str, Any]]:
    """The journal's records, read by nothing of UPS."""
    lines = [line for path in sorted((run_dir / "journal").glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", ["", "a b", "training/x", "ü", "a.b", "a*", None, 3])
def test_a_stage_name_that_cannot_be_drawn_is_refused(name: Any) -> None:
    """A stage name that is not letters, digits, ``_`` and ``-`` raises at once, and names itself."""
    with ups.create_wandb_context(mode="local") as ctx:
        with pytest.raises(InvalidName, match="is not a stage name: use letters"):
            ctx.stage(name)
        with pytest.raises(InvalidName, match="is not a stage name"):
            ups.create_wandb_context(stages=["fine", name], mode="local")


def test_a_bad_stage_name_in_mid_training_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """``log_training_metric`` with such a name does not stop the training: told once, the row in the journal."""
    with ups.create_wandb_context(mode="local") as ctx:
        ctx.log_training_metric("my stage", "loss", 0.25, 7)
        ctx.log_training_metric("my stage", "loss", 0.125, 8)
    assert capsys.readouterr().err.count("'my stage' is not a stage name") == 2  # as it happens, and in the tree
    rejected = [record["rejected"] for record in journal(ctx.dir) if "rejected" in record]
    assert rejected == [{"loss": "0.25"}, {"loss": "0.125"}]


def test_a_stage_listed_twice_is_refused() -> None:
    """A stage twice in ``stages=`` raises; asking for a stage again gives the same stage."""
    with pytest.raises(UsageError, match="'operator' is listed twice"):
        ups.create_wandb_context(stages=["operator", "distill", "operator"], mode="local")
    with ups.create_wandb_context(stages=["operator"], mode="local") as ctx:
        assert ctx.stage("operator") is ctx.stage("operator")


def test_an_undeclared_stage_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage that was not declared is kept, and the declared one that was probably meant is named."""
    with ups.create_wandb_context(stages=["operator", "distill"], mode="offline", delivery="thread") as ctx:
        ctx.stage("operater").log(0, loss=1.0)
        ctx.stage("operater").log(1, loss=0.5)
    assert "Did you mean 'operator'?" in capsys.readouterr().err
    assert read_held(ctx.dir).stage("operater") == [(0, 1), (1, 0.5)]


def test_a_metric_name_that_cannot_be_drawn_keeps_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """The other metrics of the row are drawn; a bad one is told once and stands in the journal."""
    says = {"": "not a metric name", "_hidden": "starts with '_'", "step": "own x-axis", "a*": "'*'", "/a": "'/'"}
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        for number, name in enumerate(says):
            for step in range(3):
                ctx.stage(f"a{number}").log(step, {name: 1.5, "loss/pde": step})
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ups: stage 'a")]
    held, records = read_held(ctx.dir), journal(ctx.dir)
    for number, (name, why) in enumerate(says.items()):
        (line,) = (line for line in told if line.startswith(f"ups: stage 'a{number}', metric"))
        assert why in line
        assert [x for x, _ in held.stage(f"a{number}", "loss/pde")] == [0, 1, 2]
        assert sum(record.get("rejected") == {name: "1.5"} for record in records) == 3


def test_a_step_that_is_not_whole_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Such a step does not stop the training; the row is in the journal, and the message says what to do."""
    steps: list[Any] = [1.5, "3", None, True, math.nan, math.inf, [1], np.float32(0.5), 10**400, 2**53 + 1, 1e300]
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        for number, step in enumerate(steps):
            stage = ctx.stage(f"a{number}")
            stage.log(0, loss=1.0)
            stage.log(step, loss=2.0)
            stage.log(1, loss=3.0)
    told, held = capsys.readouterr().err, read_held(ctx.dir)
    for number in range(len(steps)):
        assert f"ups: stage 'a{number}': step" in told
        assert held.stage(f"a{number}") == [(0, 1), (1, 3)]
    rejected = [record["rejected"] for record in journal(ctx.dir) if "rejected" in record]
    assert rejected == [{"loss": "2.0"}] * len(steps)


@pytest.mark.parametrize("step", [np.int64(2), np.array([2]), torch.tensor(2), 2.0, Fraction(4, 2)])
def test_a_step_that_is_a_whole_number_of_another_kind_is_taken(step: Any) -> None:
    """NumPy and torch integers, and floats without a fraction, are whole numbers."""
    with ups.create_wandb_context(mode="local", strict=True) as ctx:
        ctx.stage("a").log(step, loss=1.0)
    assert [record["step"] for record in journal(ctx.dir) if "values" in record] == [2]


def test_a_step_that_goes_back_is_told_and_not_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage whose steps start again draws no chart backwards: told, counted, and kept in the journal."""
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        for step in [*range(10), *range(4)]:
            ctx.stage("a").log(step, loss=float(step))
    error = " ".join(capsys.readouterr().err.split())
    assert "stage 'a': step 0 after step 9" in error
    assert "4 x" in error
    assert [x for x, _ in read_held(ctx.dir).stage("a")] == list(range(10))
    assert [record["step"] for record in journal(ctx.dir) if "values" in record] == [*range(10), *range(4)]


def test_two_metrics_of_one_step_may_come_in_two_calls(capsys: pytest.CaptureFixture[str]) -> None:
    """A metric may follow at a step, or before it, that another metric has reached: each chart has its own line."""
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        stage = ctx.stage("a")
        for step in range(10):
            stage.log(step, loss=1.0)
            if step % 5 == 0:
                stage.log(step, validation=2.0)
        stage.log(7, other=3.0)
        stage.log(8, other=4.0)
    held = read_held(ctx.dir)
    assert [x for x, _ in held.stage("a", "validation")] == [0, 5]
    assert [x for x, _ in held.stage("a", "other")] == [7, 8]
    assert "faults" not in capsys.readouterr().err


class Failing:
    """What fails when it is asked for its number, or to draw itself."""

    def item(self) -> float:
        raise RuntimeError("no number")

    def savefig(self, path: Path) -> None:
        raise RuntimeError(f"no {path.suffix}")


def test_what_is_no_row_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A number in place of a dictionary does not stop the training, and says what to pass; it raises if strict."""
    calls: list[tuple[Callable[[ups.WandBContext], object], str]] = [
        (lambda ctx: ctx.stage("a").log(0, 0.5), "stage 'a': log() was given 0.5: pass a dictionary"),  # type: ignore[arg-type]
        (lambda ctx: ctx.log_training_metrics("b", 0.25, 0), "log_training_metrics() was given 0.25"),  # type: ignore[arg-type]
        (lambda ctx: ctx.log_eval_summary(0.5), "log_eval_summary() was given 0.5"),  # type: ignore[arg-type]
        (lambda ctx: ctx.log_values(3), "log_values() was given 3"),  # type: ignore[arg-type]
    ]
    with ups.create_wandb_context(mode="local") as ctx:
        for call, _ in calls:
            call(ctx)
        ctx.log_image("figure", Failing())
        ctx.log_image("bytes", np.full((2, 2), 256, dtype="uint16"))
    told = " ".join(capsys.readouterr().err.split())
    for says in (*(says for _, says in calls), "no .png", "whole numbers from 256 to 256 are not bytes"):
        assert says in told
    with ups.create_wandb_context(mode="local", strict=True) as ctx:
        for call, _ in calls:
            with pytest.raises(InvalidValue):
                call(ctx)


def test_a_value_that_is_no_number_keeps_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    """The rest of the row is drawn; the value is told once, by stage and metric, and stands in the journal."""
    says: list[tuple[Any, str]] = [
        ("0.5", "is a string"),
        (None, "is None"),
        (torch.ones(3), "holds 3 numbers, not one"),
        (np.ones((2, 2)), "holds 4 numbers, not one"),
        ([1.0], "is a list"),
        (1 + 2j, "complex"),
        (object(), "object"),
        (np.array([]), "holds 0 numbers"),
        (Failing(), "could not be read (RuntimeError: 'no number')"),
        (torch.empty((), device="meta"), "could not be read"),
    ]
    with ups.create_wandb_context(mode="offline", delivery="thread") as ctx:
        for number, (value, _) in enumerate(says):
            for step in range(2):
                ctx.stage(f"a{number}").log(step, loss=1.0, odd=value)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ups: stage 'a")]
    held = read_held(ctx.dir)
    for number, (_, why) in enumerate(says):
        (line,) = (line for line in told if line.startswith(f"ups: stage 'a{number}', metric 'odd'"))
        assert why in line
        assert len(held.stage(f"a{number}", "loss")) == 2
    assert sum("odd" in record.get("rejected", {}) for record in journal(ctx.dir)) == 2 * len(says)


def test_every_kind_of_number_reaches_wandb() -> None:
    """Scalars and one-element arrays of Python, NumPy and torch, NaN and the infinities, are held as they are."""
    kept: list[tuple[Any, Any]] = [
        (np.float32(0.5), 0.5),
        (np.array([[2.5]]), 2.5),
        (torch.tensor(3.0, requires_grad=True), 3.0),
        (torch.tensor([1.5], dtype=torch.bfloat16), 1.5),
        (np.int8(-3), -3),
        (True, 1),
        (np.bool_(False), 0),
        (Fraction(1, 4), 0.25),
        (10**30, 1e30),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        (torch.tensor(-math.inf), "-Infinity"),
    ]
    with ups.create_wandb_context(mode="offline", strict=True, delivery="thread") as ctx:
        ctx.stage("a").log(0, {f"kind{number}": value for number, (value, _) in enumerate(kept)})
    held = read_held(ctx.dir)
    for number, (value, expected) in enumerate(kept):
        assert [y for _, y in held.stage("a", f"kind{number}")] == [expected], value


def test_strict_raises_what_is_else_told() -> None:
    """With ``strict`` a bad value, name or step raises from ``log``; what was right is kept all the same."""
    with ups.create_wandb_context(mode="offline", strict=True, delivery="thread") as ctx:
        stage = ctx.stage("a")
        stage.log(5, loss=1.0)
        with pytest.raises(InvalidValue, match="'odd'"):
            stage.log(6, loss=2.0, odd="x")
        with pytest.raises(InvalidName, match="_x"):
            stage.log(7, {"_x": 1.0})
        with pytest.raises(InvalidStep, match="after step 6"):
            stage.log(3, loss=3.0)
    assert read_held(ctx.dir).stage("a") == [(5, 1), (6, 2)]


def test_a_directory_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    """A run directory that cannot be made raises at once, and says what to pass instead."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match=r"cannot write the run directory .*dir="):
        ups.create_wandb_context(mode="local", dir=tmp_path / "file")


def test_a_run_that_is_there_is_not_overwritten() -> None:
    """A run id whose directory exists raises, and says how to join that run."""
    with ups.create_wandb_context(run_id="twice", mode="local"):
        pass
    with pytest.raises(RunDirectoryError, match=r"holds a run already.*join_wandb_context"):
        ups.create_wandb_context(run_id="twice", mode="local")


@pytest.mark.parametrize("run_id", ["../up", "a/b", ".", "x" * 200])
def test_a_run_id_that_is_no_folder_name_is_refused(run_id: str) -> None:
    """A run id never leads out of the folder of runs."""
    with pytest.raises(InvalidName, match="is not a run id"):
        ups.create_wandb_context(run_id=run_id, mode="local")


def test_an_empty_run_id_is_as_good_as_none() -> None:
    """A run gets a fresh id then, and two runs do not get the same."""
    contexts = [ups.create_wandb_context(run_id="", mode="local") for _ in range(2)]
    for context in contexts:
        context.finish()
        assert context.run_id == context.dir.name
    assert len({"", *(context.run_id for context in contexts)}) == 3


def test_without_wandb_the_start_says_what_to_install(script: Script) -> None:
    """Where wandb is not installed, creating a run raises and names the package; ``local`` works without."""
    source = """
import sys
sys.modules["wandb"] = None  # as good as not installed
import ups
try:
    ups.create_wandb_context({}, mode="offline")
except ups.errors.MissingDependency as error:
    print(error)
with ups.create_wandb_context({}, mode="local") as ctx:
    ctx.stage("a").log(0, loss=1.0)
"""
    done = script(source)
    assert "pip install 'ups-tracking[wandb]'" in done.stdout


def test_a_mode_or_config_that_does_not_exist_is_refused() -> None:
    """An unknown mode, delivery or kind of configuration raises and names what there is."""
    with pytest.raises(UsageError, match="choose one of online, offline, local, disabled"):
        ups.create_wandb_context(mode="onlin")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="choose 'process' or 'thread'"):
        ups.create_wandb_context(mode="local", delivery="fork")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pass a dictionary"):
        ups.create_wandb_context([1, 2], mode="local")
    with pytest.raises(UsageError, match="stages is the string"):
        ups.create_wandb_context(stages="operator", mode="local")
    with pytest.raises(UsageError, match="tags is the string"):
        ups.create_wandb_context(tags="one", mode="local")
    assert not Path("ups-runs").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"project": "a/b"}, "at most 128 characters without"),
        ({"project": "p" * 129}, "at most 128 characters"),
        ({"project": 3}, "pass text, as in project='3'"),
        ({"tags": ["fine", "x" * 65]}, "1 to 64 characters"),
        ({"tags": [""]}, "1 to 64 characters"),
        ({"tags": [1]}, "1 to 64 characters"),
        ({"name": Path("x")}, "pass text, as in name='x'"),
        ({"run_id": 5}, "5 is not a run id"),
        ({"mode": 5}, "choose one of online, offline"),
        ({"WANDB_PROJECT": "a/b"}, "WANDB_PROJECT is 'a/b', which W&B refuses"),
        ({"WANDB_TAGS": "a,"}, "WANDB_TAGS has '', which W&B refuses"),
    ],
)
def test_what_wandb_would_refuse_is_refused_at_the_start(
    arguments: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project, a tag or a name with which no row could ever be delivered raises at once."""
    variables = {name: value for name, value in arguments.items() if name.startswith("WANDB_")}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    arguments = {"mode": "local"} | {name: value for name, value in arguments.items() if name not in variables}
    with pytest.raises(UsageError, match=why):
        ups.create_wandb_context(**arguments)


def test_a_config_that_contains_itself_is_refused() -> None:
    """It has no end, and the message says so."""
    config: dict[str, Any] = {}
    config["again"] = config
    with pytest.raises(UsageError, match="contains itself"):
        ups.create_wandb_context(config, mode="local")


def test_none_is_as_good_as_no_tags_and_stages() -> None:
    """``tags=None`` is wandb's own default."""
    with ups.create_wandb_context(mode="local", tags=None, stages=None) as ctx:
        assert json.loads((ctx.dir / "run.json").read_text())["tags"] == []


def test_joining_nothing_is_told(tmp_path: Path) -> None:
    """Without a run to join, the message says where one would come from."""
    with pytest.raises(UsageError, match="UPS_RUN_DIR is not set"):
        ups.join_wandb_context()
    with pytest.raises(RunDirectoryError, match="is not a UPS run directory"):
        ups.join_wandb_context(tmp_path)


@dataclass
class Nested:
    width: int = 32
    hf_token: str = "hf_abc"


@dataclass
class Config:
    lr: float = 1e-3
    model: Nested = field(default_factory=Nested)
    path: Path = Path("data")
    eos_token: str = "</s>"
    max_tokens: int = 100


@pytest.mark.parametrize(
    "config",
    [Config(), argparse.Namespace(**vars(Config())), {"lr": 1e-3, **vars(Config())}],
    ids=["dataclass", "argparse", "dictionary"],
)
def test_config_is_taken_from_what_the_training_has(config: Any) -> None:
    """A dataclass, a namespace and a dictionary give the same configuration, with secrets masked everywhere."""
    with ups.create_wandb_context(config, mode="local") as ctx:
        assert ctx.config["model"] == {"width": 32, "hf_token": "********"}
        assert ctx.config["path"] == "data"
        assert ctx.config["eos_token"] == "</s>"
        assert ctx.config["max_tokens"] == 100
    for path in ctx.dir.rglob("*"):
        assert path.is_dir() or b"hf_abc" not in path.read_bytes()


def test_what_names_a_secret_is_masked_and_nothing_else() -> None:
    """Keys of services, passes and headers are secret; sizes, columns and counts that are named alike are not."""
    secret = ["openai_key", "wandb_key", "Authorization", "db_pass", "hf_tokens", "apiKeys"]
    plain = {"tokens_per_batch": 8, "key_dim": 64, "num_tokens": 5, "hf_tokens": 9, "sort_key": "a", "last_pass": "b"}
    for name in secret:
        assert plain_config({name: "s"}) == {name: MASK}
    assert plain_config(plain) == plain


def test_every_error_is_of_one_tree() -> None:
    """Whoever catches ``UPSError`` catches all that UPS raises: each exception class of its source derives from it."""
    bases: dict[str, set[str]] = {}
    for path in Path(ups.__file__).parent.rglob("*.py"):
        for name, given in CLASS.findall(path.read_text(encoding="utf-8")):
            bases.setdefault(name, set()).update(base.strip().rpartition(".")[2] for base in given.split(","))

    def derives(name: str, ends: Container[str]) -> bool:
        return name in ends or any(derives(base, ends) for base in bases.get(name, ()))

    python = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    errors = {name for name in bases if derives(name, {*python, "ClickException"})}
    assert set(ups.errors.__all__) <= errors
    assert {name for name in errors if not derives(name, {"UPSError"})} == set()

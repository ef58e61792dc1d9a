"""The training loop and the pipeline: losses fall, and an interruption changes nothing."""

import dataclasses
import itertools
import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from rich.console import Console

from ups import WandBContext, create_wandb_context
from ups.errors import RunDirectoryError, UPSError
from ups.simulator.checkpoint import Checkpoint, checkpoint_path, load_checkpoint
from ups.simulator.config import Config, StageConfig
from ups.simulator.pipeline import Outcome, Pipeline
from ups.simulator.progress import Reporter
from ups.simulator.train_run import load_config
from ups.simulator.trained import CONTROL, STAGES
from ups.simulator.training import learning_rate


class Interrupting(Reporter):
    """Presses Ctrl-C once, after a step of a stage."""

    def __init__(self, stage: str, step: int) -> None:
        super().__init__(Console(quiet=True))
        self.at = (stage, step)

    @contextmanager
    def stage(self, name: str, done: int, steps: int) -> Iterator[Callable[[int, float], None]]:
        def advance(step: int, loss: float) -> None:
            if (name, step) == self.at:
                signal.raise_signal(signal.SIGINT)

        yield advance


def trained(context: WandBContext, name: str) -> Checkpoint:
    """The checkpoint of a stage, which must be there."""
    checkpoint = load_checkpoint(checkpoint_path(context.dir, name))
    assert checkpoint is not None
    return checkpoint


def rows(context: WandBContext, stage: str) -> list[tuple[int, dict[str, float]]]:
    """The step and the values of each row that a run journaled for a stage."""
    lines = [line for path in context.dir.glob("journal/*.jsonl") for line in path.read_text().splitlines()]
    records = [json.loads(line) for line in lines]
    return [(record["step"], record["values"]) for record in records if record.get("stage") == stage]


def without_clocks(logged: list[tuple[int, dict[str, float]]]) -> list[tuple[int, dict[str, float]]]:
    """The same rows without what depends on how fast the machine is."""
    clocks = ("step_ms", "samples_per_s")
    return [(step, {name: value for name, value in values.items() if name not in clocks}) for step, values in logged]


@pytest.fixture(scope="module")
def through(tiny: Config, quiet: Reporter, tmp_path_factory: pytest.TempPathFactory) -> tuple[WandBContext, Outcome]:
    """A training of every stage that nothing interrupted."""
    folder = tmp_path_factory.mktemp("through")
    with create_wandb_context(run_id="through", mode="local", delivery="thread", dir=folder) as context:
        return context, Pipeline(tiny, context.dir, context, quiet).run()


def test_every_stage_learns_and_logs_each_step(through: tuple[WandBContext, Outcome]) -> None:
    """Each stage and the control log loss, lr and grad_norm at every step; the loss falls, the operator's error too."""
    context, outcome = through
    assert [evaluation.name for evaluation in outcome.evaluations] == [*STAGES, CONTROL]
    assert [evaluation.scores.nfe for evaluation in outcome.evaluations] == [1, 4, 2, 1]
    for name in (*STAGES, CONTROL):
        logged = rows(context, name)
        assert [step for step, _ in logged] == list(range(1, trained(context, name).steps + 1))
        assert all({"loss", "lr", "grad_norm"} <= set(values) for _, values in logged)
        losses = [values["loss"] for _, values in logged]
        assert sum(losses[-10:]) < 0.9 * sum(losses[:10]), name
    errors = [values["validation_error"] for _, values in rows(context, CONTROL) if "validation_error" in values]
    assert errors[-1] < 0.5 * errors[0]
    assert context.summary["eval/operator/one_step_l2"] > 0
    assert sum(1 for _ in (context.dir / "media").rglob("*.png")) == 2


def test_the_control_costs_what_the_three_stages_cost(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """A distillation step counts double: three more forward passes beside a forward and a backward one."""
    with new_context("none") as context:
        assert Pipeline(tiny, context.dir, context, quiet).control_schedule().steps == 40 + 60 + 2 * 40


def test_an_interrupted_training_ends_with_the_same_weights(
    through: tuple[WandBContext, Outcome],
    tiny: Config,
    new_context: Callable[[str], WandBContext],
    quiet: Reporter,
) -> None:
    """Ctrl-C at a random step of every stage gives the weights of a run without it, bit for bit, each step once."""
    whole, _ = through
    cuts = {name: random.randrange(1, trained(whole, name).steps) for name in (*STAGES, CONTROL)}
    with new_context("cut") as cut:
        for name, step in cuts.items():
            with pytest.raises(KeyboardInterrupt):
                Pipeline(tiny, cut.dir, cut, Interrupting(name, step)).run()
            assert trained(cut, name).step == step
            assert not trained(cut, name).finished
        Pipeline(tiny, cut.dir, cut, quiet).run()
    for name in (*STAGES, CONTROL):
        expected, found = trained(whole, name), trained(cut, name)
        for key, weight in expected.model.items():
            assert torch.equal(weight, found.model[key]), (cuts, name, key)
        for key, weight in expected.average.items():
            assert torch.equal(weight, found.average[key]), (cuts, name, key)
        assert without_clocks(rows(cut, name)) == without_clocks(rows(whole, name)), (cuts, name)


def test_the_seed_decides_the_weights(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """Two runs of one seed agree bit for bit, whatever was drawn before; another seed does not."""
    short = dataclasses.replace(tiny, stages=dataclasses.replace(tiny.stages, operator=StageConfig(8, 1e-3)))
    projections = []
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        torch.rand(3)
        with new_context(name) as context:
            Pipeline(dataclasses.replace(short, seed=seed), context.dir, context, quiet).run("operator")
        projections.append(trained(context, "operator").model["network.project.weight"])
    assert torch.equal(projections[0], projections[1])
    assert not torch.equal(projections[0], projections[2])


def test_a_stage_alone_needs_the_one_before(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """A stage whose predecessor is missing or unfinished is refused, with the command that trains it."""
    with new_context("alone") as context:
        pipeline = Pipeline(tiny, context.dir, context, quiet)
        with pytest.raises(RunDirectoryError, match="ups train --stage operator --resume"):
            pipeline.run("diffusion_residual")
        with pytest.raises(KeyboardInterrupt):
            Pipeline(tiny, context.dir, context, Interrupting("operator", 9)).run("operator")
        with pytest.raises(RunDirectoryError, match="is at step 9 of 40"):
            pipeline.run("diffusion_residual")
        pipeline.run("operator")
        outcome = pipeline.run("diffusion_residual")
    assert [evaluation.name for evaluation in outcome.evaluations] == ["operator", "diffusion_residual"]


def test_a_loss_that_is_not_finite_ends_the_training(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """A diverged stage says at which step and which setting to lower, and keeps no ruined checkpoint."""
    wild = StageConfig(40, 1e30)
    config = dataclasses.replace(tiny, stages=dataclasses.replace(tiny.stages, operator=wild))
    with (
        new_context("wild") as context,
        pytest.raises(UPSError, match=r"lower stages\.operator\.learning_rate"),
    ):
        Pipeline(config, context.dir, context, quiet).run("operator")
    assert not checkpoint_path(context.dir, "operator").exists()


def test_a_damaged_checkpoint_is_named(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """Half a checkpoint is an error that names the file, not a traceback of the loader."""
    with new_context("damaged") as context:
        pipeline = Pipeline(tiny, context.dir, context, quiet)
        pipeline.run("operator")
        path = checkpoint_path(context.dir, "operator")
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(RunDirectoryError, match=r"cannot read the checkpoint .*operator\.pt"):
            pipeline.run("operator")


@pytest.mark.parametrize("content", ["[" * 5000 + "]" * 5000, "7", '{"seed": []}', "\x00", None])
def test_a_configuration_of_anyone_is_named(tmp_path: Path, content: str | None) -> None:
    """A run's configuration of any content, and a FIFO in its place, is an error that names the file."""
    path = tmp_path / "checkpoints" / "config.json"
    path.parent.mkdir()
    if content is None:
        os.mkfifo(path)
        os.mkfifo(path.parent / "operator.pt")
        with pytest.raises(RunDirectoryError, match="not a regular file"):
            load_checkpoint(path.parent / "operator.pt")
    else:
        path.write_text(content)
    with pytest.raises(RunDirectoryError, match=r"config\.json"):
        load_config(tmp_path)


def test_a_checkpoint_that_cannot_be_written_is_named(
    tiny: Config, new_context: Callable[[str], WandBContext], quiet: Reporter
) -> None:
    """A file in the place of the folder is an error that names it."""
    with new_context("blocked") as context:
        (context.dir / "checkpoints").write_text("")
        with pytest.raises(RunDirectoryError, match="cannot write the checkpoint"):
            Pipeline(tiny, context.dir, context, quiet).run("operator")


def test_the_learning_rate_rises_then_falls_and_is_never_zero() -> None:
    """A linear warm-up to the largest rate, then a cosine that ends just above zero."""
    schedule = StageConfig(100, 2.0)
    rates = [learning_rate(step, schedule, 10) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert max(rates) == 2.0
    assert rates[54] == pytest.approx(1.0, abs=0.1)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01


def test_piped_progress_is_a_few_lines(tmp_path: Path) -> None:
    """Without a terminal a stage prints five lines: step, loss and time left."""
    with (tmp_path / "out").open("w") as file:
        reporter = Reporter(Console(file=file, width=120))
        with reporter.stage("operator", 0, 1000) as advance:
            for step in range(1, 1001):
                advance(step, 0.5)
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 5
    assert "200/1000  loss 5.000e-01" in lines[0]
    assert "s left" in lines[0]
    assert lines[-1].endswith("done")

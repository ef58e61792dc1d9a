"""Values that a device is still to compute: by JAX's asynchronous dispatch on the CPU, by torch on a GPU if any."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ups
from held import read_held
from ups.journal.writer import Journal

if TYPE_CHECKING:
    import jax

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def _long(matrix: jax.Array) -> Any:
    """About a second of computing; 1.0."""
    return _compiled()(matrix)


@functools.cache
def _compiled() -> Any:
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda matrix: jax.lax.fori_loop(0, 600, lambda _, a: jnp.tanh(a @ a), matrix)[0, 0])


@pytest.fixture(scope="module")
def matrix() -> jax.Array:
    """What the long computation starts from; compiled for it."""
    import jax.numpy as jnp

    matrix = jnp.ones((400, 400))
    _long(matrix).block_until_ready()
    return matrix


@pytest.fixture
def ctx() -> Iterator[ups.WandBContext]:
    """A run that is only journaled."""
    with ups.create_wandb_context({}, mode="local", stages=["a"]) as ctx:
        yield ctx


def rows(ctx: ups.WandBContext) -> list[dict[str, Any]]:
    """The rows in the journal's file."""
    records = [json.loads(line) for line in ctx.sink.journal.path.read_text(encoding="utf-8").splitlines()]
    return [record for record in records if "stage" in record]


def test_log_does_not_wait_for_the_device(ctx: ups.WandBContext, matrix: jax.Array) -> None:
    """``log`` returns while the value is being computed; its row is in the file soon after, without another call."""
    loss = _long(matrix)
    before = time.time()
    ctx.stage("a").log(0, loss=loss, lr=0.5)
    after = time.time()
    assert not loss.is_ready()
    assert rows(ctx) == []
    loss.block_until_ready()
    until = time.monotonic() + 20
    while not rows(ctx) and time.monotonic() < until:
        time.sleep(0.01)
    (row,) = rows(ctx)
    assert (row["step"], row["values"]) == (0, {"loss": 1.0, "lr": 0.5})
    assert before <= row["time"] <= after  # of the call, not of the arrival


class Gated:
    """Lines that are there when the gate opens."""

    def __init__(self, lines: bytes) -> None:
        self.gate = threading.Event()
        self._lines = lines

    def lines(self) -> bytes:
        self.gate.wait(30)
        return self._lines


def test_deferred_lines_are_written_by_themselves(tmp_path: Path) -> None:
    """A journal writes each deferred line when it is there, though nothing else is asked of it, not even a sync."""
    journal = Journal(
        tmp_path / "journal.jsonl", on_failure=lambda error: None, on_loss=lambda: None, on_reopening=lambda: None
    )
    for content in (b"1\n", b"1\n2\n"):
        line = Gated(content[-2:])
        journal.defer(line)
        assert journal.path.read_bytes() == content[:-2]
        line.gate.set()
        until = time.monotonic() + 20
        while journal.path.read_bytes() != content and time.monotonic() < until:
            time.sleep(0.005)
        assert journal.path.read_bytes() == content
    journal.close()


@pytest.mark.parametrize("next_call", ["log", "other stage", "flush", "summary"])
def test_a_row_is_there_at_the_latest_with_what_comes_next(
    ctx: ups.WandBContext, matrix: jax.Array, next_call: str
) -> None:
    """The next row of any stage, a flush and any other record find the row in the file before them."""
    ctx.stage("a").log(0, loss=_long(matrix))
    match next_call:
        case "log":
            ctx.stage("a").log(1, loss=2.0)
        case "other stage":
            ctx.stage("b").log(0, loss=2.0)
        case "flush":
            ctx.flush()
        case "summary":
            ctx.log_eval_summary({"l2": 1.0})
    assert rows(ctx)[0]["values"] == {"loss": 1.0}
    assert [row["values"]["loss"] for row in rows(ctx)] == [1.0, 2.0][: 2 if next_call in ("log", "other stage") else 1]


def test_wandb_holds_the_rows_in_their_order(matrix: jax.Array) -> None:
    """Rows of a device among plain ones: W&B's file has all, in the order of the calls, the last one too."""
    with ups.create_wandb_context({}, "r", mode="offline", delivery="thread") as ctx:
        stage = ctx.stage("a")
        for step in range(6):
            stage.log(step, loss=_long(matrix * 1.0) if step % 2 else float(step), lr=1e-3)
    held = read_held(Path("ups-runs/r"))
    assert [row["training/a/step"] for row in held.rows] == list(range(6))
    assert [row["training/a/loss"] for row in held.rows] == [0.0, 1.0, 2.0, 1.0, 4.0, 1.0]


def test_a_value_that_does_not_arrive_is_told(
    ctx: ups.WandBContext, matrix: jax.Array, capfd: pytest.CaptureFixture[str]
) -> None:
    """A value that its device never brings costs only itself: the rest of the row is drawn, and it is said."""
    loss = _long(matrix)
    ctx.stage("a").log(0, loss=loss, lr=0.5)
    loss.delete()
    ctx.stage("a").log(1, loss=2.0, lr=0.25)
    first, rejected, second = rows(ctx)
    assert first["values"] == {"lr": 0.5}
    assert "deleted" in rejected["rejected"]["loss"]
    assert second["values"] == {"loss": 2.0, "lr": 0.25}
    assert "stage 'a', metric 'loss': its device did not bring it" in capfd.readouterr().err


def test_a_value_that_is_there_is_in_the_file_at_once(ctx: ups.WandBContext) -> None:
    """CPU tensors, and arrays that are computed, are in the file when ``log`` returns."""
    import jax.numpy as jnp
    import torch

    computed = [array.block_until_ready() for array in (jnp.float32(3), jnp.asarray([3]))]
    for step, value in enumerate([torch.tensor(3.0), torch.ones(1, requires_grad=True) * 3, *computed]):
        ctx.stage("a").log(step, loss=value)
        assert [row["values"] for row in rows(ctx)] == [{"loss": 3}] * (step + 1)


def test_a_shape_or_a_step_that_is_wrong_is_told_without_waiting(
    ctx: ups.WandBContext, matrix: jax.Array, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with a row on a device is said in the call, and the row is kept as rejected."""
    import jax.numpy as jnp

    vector = _long(matrix) * jnp.ones(3)
    ctx.stage("a").log(0, loss=vector)
    ctx.stage("a").log(0.5, loss=_long(matrix))  # type: ignore[arg-type]
    deleted = jnp.ones(())
    deleted.delete()
    ctx.stage("b").log(0, loss=deleted)
    told = capfd.readouterr().err
    assert "of shape (3,) holds 3 numbers, not one" in told
    assert "step 0.5 is not a whole number" in told
    assert "stage 'b', metric 'loss'" in told
    assert [sorted(row) for row in rows(ctx)] == [["rejected", "stage", "step", "time"]] * 3


KILLED = """
import os, signal, ups, jax, jax.numpy as jnp
long = jax.jit(lambda a: jax.lax.fori_loop(0, 20_000, lambda _, a: jnp.tanh(a @ a), a)[0, 0])
a = jnp.ones((300, 300))
compiled = long.lower(a).compile()
stage = ups.create_wandb_context({}, "r", mode="local").stage("a")
for step in range(5):
    stage.log(step, loss=1.0)
stage.log(5, loss=compiled(a))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_takes_only_what_had_not_arrived(script: Script) -> None:
    """Of rows before a row on a device none is lost to a kill; the row itself is, whole."""
    script(KILLED, expect=-signal.SIGKILL)
    (journal,) = Path("ups-runs/r/journal").glob("*.jsonl")
    lines = journal.read_bytes()
    assert lines.endswith(b"\n")
    assert [record["step"] for record in map(json.loads, lines.splitlines()) if "step" in record] == list(range(5))


def test_a_tensor_on_a_gpu_is_copied_as_it_was(ctx: ups.WandBContext) -> None:
    """The number is the one at the time of the call, though the device had not computed it and it was changed later."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use on this machine")
    torch.cuda.synchronize()
    matrix = torch.ones(4096, 4096, device="cuda")
    loss = torch.zeros((), device="cuda", requires_grad=True)
    for _ in range(200):
        matrix = torch.tanh(matrix @ matrix)
    changed = loss.detach() + matrix[0, 0]
    ctx.stage("a").log(0, loss=changed)
    assert not torch.cuda.current_stream().query()
    changed.add_(7)
    ctx.stage("a").log(1, loss=changed)
    ctx.flush()
    assert [row["values"]["loss"] for row in rows(ctx)] == [1.0, 8.0]

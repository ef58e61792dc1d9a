"""Training and test sets, and batches."""

import dataclasses

import torch

from ups.simulator.config import Config
from ups.simulator.data import draw_batch, make_data, make_test, seeded


def test_data_is_the_same_for_the_same_seed_and_the_test_set_for_all(tiny: Config) -> None:
    """The seed decides the training and the validation set; every seed is tested on the same solutions."""
    first, again = make_data(tiny), make_data(tiny)
    other = make_data(dataclasses.replace(tiny, seed=1))
    assert torch.equal(first.train, again.train)
    assert not torch.equal(first.train, other.train)
    assert torch.equal(first.validation, again.validation)
    assert not torch.equal(first.validation, other.validation)
    assert not torch.equal(first.validation[:, :5], first.train[:2, :5])
    assert (first.train.dtype, first.train.shape) == (torch.float32, (8, 9, 32))
    assert (first.validation.dtype, first.validation.shape) == (torch.float32, (2, 5, 32))
    test = make_test(tiny, trajectories=3, steps=6)
    assert torch.equal(test, make_test(dataclasses.replace(tiny, seed=1), trajectories=3, steps=6))
    assert (test.dtype, test.shape) == (torch.float64, (3, 7, 32))
    assert torch.isfinite(first.train).all()
    assert torch.isfinite(test).all()


def test_a_batch_holds_neighbouring_frames_half_of_them_reflected() -> None:
    """Every pair is a frame and the next one, both as they are or both reflected."""
    frames = torch.arange(3 * 5, dtype=torch.float32).reshape(3, 5, 1)
    train = frames + 1 + torch.tensor([0.0, 0.25, 0.5, 0.75])
    batch = draw_batch(train, 400, seeded(0, "pairs"))
    reflected = batch.state[:, 0] < 0
    assert 120 < reflected.sum() < 280
    torch.testing.assert_close(batch.state[reflected][:, 0] + 0.75, batch.state[reflected][:, 3])
    torch.testing.assert_close((batch.following - batch.state).abs(), torch.ones(400, 4))


def test_the_parts_of_a_batch_are_the_batch() -> None:
    """Parts have the pairs, levels and noise of the whole, in its order, each once."""
    whole = draw_batch(torch.randn(4, 5, 6, generator=seeded(0, "states")), 12, seeded(0, "pairs"), levels=3)
    parts = [whole.part(index, 3) for index in range(3)]
    for field in ("state", "following", "level", "noise"):
        assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(whole, field))
    assert set(whole.level.tolist()) == {0, 1, 2}


def test_purposes_draw_different_numbers() -> None:
    """Two purposes of a seed, and two seeds of a purpose, share no stream."""
    drawn = {torch.rand(1, generator=seeded(seed, name)).item() for seed in (0, 1) for name in ("a", "b")}
    assert len(drawn) == 4

"""The networks: what they compute, and that both train."""

from typing import Any

import pytest
import torch
from torch import nn

from ups.simulator.backbones import DilatedNetwork, FourierNetwork, make_backbone
from ups.simulator.config import DilatedConfig, FourierConfig, load
from ups.simulator.data import seeded
from ups.simulator.model import Operator
from ups.simulator.optimizer import make_optimizers

BACKBONES = ("dilated", "fno")


def circular(network: DilatedNetwork) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A random field and its image under the network's first layer, as PyTorch's own convolution has it, and as is."""
    layer: Any = network.layers[0]
    width, kernel, dilation = len(layer.bias), layer.kernel, layer.dilation
    field = torch.randn(16, 3, width, dtype=torch.float64, generator=seeded(0, "field"), requires_grad=True)
    around = kernel // 2 * dilation
    padded = nn.functional.pad(field.permute(1, 2, 0), (around, around), mode="circular")
    weight = layer.weight.view(kernel, width, width).permute(2, 1, 0)
    expected = nn.functional.conv1d(padded, weight, layer.bias, dilation=dilation).permute(2, 0, 1)
    return field, expected, layer(field)


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 3), (5, 8), (1, 1)])
def test_a_dilated_layer_is_a_circular_convolution(kernel: int, dilation: int) -> None:
    """Values and all gradients are those of PyTorch's own dilated convolution with circular padding."""
    network = DilatedNetwork(1, 1, DilatedConfig(width=4, kernel=kernel, dilations=(dilation,))).double()
    layer: Any = network.layers[0]
    field, expected, found = circular(network)
    torch.testing.assert_close(found, expected)
    pull = torch.randn(found.shape, dtype=torch.float64, generator=seeded(0, "pull"))
    inputs = [field, layer.weight, layer.bias]
    torch.testing.assert_close(torch.autograd.grad(found, inputs, pull), torch.autograd.grad(expected, inputs, pull))


def test_a_fourier_layer_mixes_the_longest_waves_alone() -> None:
    """What a layer adds to its pointwise part has no wave from ``modes`` on, whatever comes in, on any grid."""
    layer: Any = FourierNetwork(1, 1, FourierConfig(width=4, modes=5, layers=1)).layers[0]
    for points in (32, 48):
        field = torch.randn(points, 3, 4, generator=seeded(0, "field"))
        spectrum = torch.fft.rfft(layer(field) - layer.point(field), dim=0).abs()
        assert spectrum[:5].min() > 1e-4
        assert spectrum[5:].max() < 1e-4


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_shifted_field_has_a_shifted_answer(backbone: str) -> None:
    """Both are the same everywhere on the circle, and say nothing before they are trained."""
    config = load("smoke", [f"model.backbone={backbone}"]).model
    network = make_backbone(config, inputs=2, levels=3)
    field, level = torch.randn(5, 32, 2, generator=seeded(0, "field")), torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(network(field, level), torch.zeros(5, 32))
    torch.nn.init.normal_(network.project.weight, generator=seeded(0, "project"))
    torch.testing.assert_close(network(field.roll(7, 1), level), network(field, level).roll(7, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_mixed_precision_gives_nearly_the_same(backbone: str, precision: torch.dtype) -> None:
    """Under autocast the answer is off by what three digits can be off, and every weight gets a gradient."""
    operator = Operator(load("smoke", [f"model.backbone={backbone}"]).model)
    torch.nn.init.normal_(operator.network.project.weight, generator=seeded(0, "project"))
    state = torch.randn(4, 64, generator=seeded(0, "state"))
    exact = operator(state).detach()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        rough = operator(state)
    assert (rough.float() - exact).norm() <= (0.05 if precision == torch.bfloat16 else 0) * exact.norm()
    rough.float().square().mean().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in operator.parameters() if weight.grad is not None)
    assert all(weight.grad is not None for weight in operator.network.layers.parameters())


@pytest.mark.parametrize(("backbone", "network"), [("dilated", DilatedNetwork), ("fno", FourierNetwork)])
def test_the_network_that_the_configuration_names_trains(backbone: str, network: type[nn.Module]) -> None:
    """``model.backbone`` decides what a model is built on; in a few steps both learn how a wave moves on."""
    torch.manual_seed(0)
    operator = Operator(load("smoke", [f"model.backbone={backbone}"]).model)
    assert isinstance(operator.network, network)
    optimizers = make_optimizers(operator, 1e-2)
    phase = torch.linspace(0, 2 * torch.pi, 65)[:-1]
    state = torch.stack([torch.sin(waves * phase) for waves in (1, 2, 3)])
    losses = []
    for _ in range(30):
        loss = (operator(state) - state.roll(4, 1)).square().mean()
        operator.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.25 * losses[0]

"""Presets and overrides."""

import dataclasses
import json

import pytest

from ups.errors import ConfigError
from ups.simulator.config import from_dict, load, presets


def test_every_preset_loads() -> None:
    """The three presets are complete."""
    assert presets() == ["full", "quick", "smoke"]
    for name in presets():
        assert load(name).stages.operator.steps > 0


def test_overrides_replace_numbers_and_lists() -> None:
    """An override is read as YAML, and numbers may be written without a point."""
    config = load(
        "quick", ["stages.operator.steps=7", "training.clip=1e-3", "model.dilated.dilations=[1, 2]", "seed=3"]
    )
    assert config.stages.operator.steps == 7
    assert config.training.clip == 0.001
    assert config.model.dilated.dilations == (1, 2)
    assert config.seed == 3


def test_a_configuration_survives_json() -> None:
    """What a run directory keeps is the configuration again."""
    config = load("quick", ["problem=burgers"])
    assert from_dict(json.loads(json.dumps(dataclasses.asdict(config)))) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.operator.step=5", "did you mean 'stages.operator.steps'"),
        ("stages.diffusion.steps=5", "did you mean 'stages.diffusion_residual.steps'"),
        ("sed=5", "did you mean 'seed'"),
        ("stages.operator.steps=many", "stages.operator.steps = 'many' is not a whole number"),
        ("stages.operator.steps=1.5", "stages.operator.steps = 1.5 is not a whole number"),
        ("stages.operator.steps=true", "stages.operator.steps = True is not a whole number"),
        ("stages.operator.steps=0", "stages.operator.steps = 0: use a number above 0"),
        ("training.clip=nan", "training.clip = nan: use a number above 0"),
        ("training.clip=.nan", "training.clip = nan: use a number above 0"),
        ("training.clip=none", "training.clip = 'none' is not a number"),
        ("problem=3", "problem = 3 is not a name"),
        ("model.dilated.dilations=3", r"model.dilated.dilations = 3 is not a list"),
        ("model.dilated.dilations=[1, x]", r"model.dilated.dilations\[1\] = 'x' is not a whole number"),
        ("model.dilated.dilations=[1, 65]", "use at most 64"),
        ("model.backbone=fnoo", "did you mean 'fno'"),
        ("training.precision=bfloat", "did you mean 'bfloat16'"),
        ("training.compile=1", "training.compile = 1 is not true or false"),
        ("training.accumulate=5", "use a number that divides training.batch = 32"),
        ("model.noise_levels=[0.1, 2]", "let them fall"),
        ("model.dilated.kernel=4", "use an odd number"),
        ("training.average=1", "use a decay below 1"),
        ("problem=burger", "did you mean 'burgers'"),
        ("data.points=63", "use an even number from 8 to 256"),
        ("seed=-1", "use 0 or more"),
        ("stages.operator=5", "is a group: set one of stages.operator.steps, stages.operator.learning_rate"),
        ("seed.first=5", "'seed' is one value"),
        ("seed=[", "is not YAML"),
        ("seed", "write key=value"),
    ],
)
def test_an_override_that_does_not_fit_is_refused_by_name(override: str, message: str) -> None:
    """The message names the key, what is wrong with it, and the nearest key there is."""
    with pytest.raises(ConfigError, match=message):
        load("quick", [override])


def test_an_unknown_preset_names_the_nearest() -> None:
    """A misspelt preset is answered with the one that was meant."""
    with pytest.raises(ConfigError, match="did you mean 'quick'"):
        load("quik")


def test_a_stored_configuration_with_a_missing_or_unknown_key_is_refused() -> None:
    """A configuration of another version is not silently completed."""
    tree = dataclasses.asdict(load("smoke"))
    del tree["training"]["batch"]
    with pytest.raises(ConfigError, match=r"'training\.batch' is missing"):
        from_dict(tree)
    tree["training"] |= {"batch": 4, "bach": 4}
    with pytest.raises(ConfigError, match=r"did you mean 'training\.batch'"):
        from_dict(tree)

import tomllib
from pathlib import Path

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_defaults_are_those_of_the_app():
    app = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["config"]
    assert RunConfig.of().to_run_config() == app
    assert list(app) == list(RunConfig.keys())


def test_there_and_back():
    config = RunConfig.of(seed=3, missing_ratio=0.5, weighting="uniform", dataset="flora")
    flat = config.to_run_config()
    assert RunConfig.from_run_config(flat) == config
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())
    assert flat["missing-ratio"] == 0.5


def test_every_key_is_described():
    for name, field in RunConfig.fields():
        assert field.description, name
        assert field.description.endswith((".", ")."))


def test_a_missing_key_takes_its_default():
    assert RunConfig.from_run_config({}) == RunConfig.of()
    assert RunConfig.from_run_config({"seed": 4}).run.seed == 4


def test_it_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        RunConfig.of().run.seed = 1


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("missing-ratoi", "missing-ratio"),
        ("num-server-round", "num-server-rounds"),
        ("missing_ratio", "missing-ratio"),
        ("learning-rat", "learning-rate"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(key, near):
    with pytest.raises(ConfigError, match=rf"unknown key '{key}' \(did you mean '{near}'\?\)"):
        RunConfig.from_run_config({key: 1})


def test_a_key_like_no_other_is_refused_without_a_guess():
    with pytest.raises(ConfigError, match=r"unknown key 'qqqqqqqq'\.$"):
        RunConfig.from_run_config({"qqqqqqqq": 1})


def test_everything_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as error:
        RunConfig.from_run_config({"sed": 1, "missing-ratio": 2.0, "batch-size": 0})
    for text in ("'sed'", "missing-ratio=2.0", "batch-size=0"):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("settings", "tunes", "needs", "generates"),
    [
        ({}, True, True, True),
        ({"method": "fedavg"}, False, False, False),
        ({"method": "fedavg", "weighting": "importance-examples"}, False, True, True),
        ({"weighting": "uniform", "probe_source": "public"}, True, True, False),
        ({"weighting": "uniform", "probe_tuning": "off"}, False, False, False),
        ({"method": "fedavg", "probe_tuning": "on"}, True, True, True),
        ({"method": "server-only", "probe_tuning": "off"}, True, True, True),
    ],
    ids=str,
)
def test_weights_and_tuning_decide_whether_there_is_a_probe(settings, tunes, needs, generates):
    config = RunConfig.of(**settings)
    assert (config.tunes_on_probe, config.needs_probe) == (tunes, needs)
    assert config.generates_probe == generates

import re
import tomllib
from pathlib import Path

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config.replaced import REPLACED

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
    ("key", "value"),
    [
        ("missing-ratio", -0.1),
        ("missing-ratio", 1.1),
        ("missing-ratio", float("nan")),
        ("missing-image-share", 1.5),
        ("fraction-train", 0.0),
        ("fraction-train", 1.2),
        ("fraction-evaluate", -0.5),
        ("num-server-rounds", 0),
        ("num-server-rounds", 2.5),
        ("num-server-rounds", "many"),
        ("seed", -1),
        ("local-epochs", 0),
        ("batch-size", 0),
        ("learning-rate", 0.0),
        ("learning-rate", float("inf")),
        ("temperature", 0.0),
        ("graph-temperature", 0.0),
        ("alpha", -1.0),
        ("modality-dropout", 1.0),
        ("quality-gate", 1.0),
        ("max-message-mb", 0.0),
        ("round-timeout", 0.0),
        ("method", "fedprox"),
        ("incomplete", "keep"),
        ("weighting", "equal"),
        ("wire-dtype", "int8"),
        ("model-heads", 3),
        ("model-width", 4),
        ("probe-per-class", 0),
    ],
)
def test_values_out_of_range_are_refused_by_key(key, value):
    with pytest.raises(ConfigError, match=key):
        RunConfig.from_run_config({key: value})


def test_a_wrong_choice_is_one_problem_that_names_the_choices():
    with pytest.raises(ConfigError) as error:
        RunConfig.from_run_config({"weighting": "equal"})
    assert str(error.value).count("weighting") == 1
    for choice in ("auto", "importance", "uniform", "examples", "importance-examples"):
        assert f"'{choice}'" in str(error.value)


@pytest.mark.parametrize(
    ("settings", "weighting", "tunes", "needs_probe"),
    [
        ({}, "importance", True, True),
        ({"method": "fedavg"}, "examples", False, False),
        (
            {"method": "fedavg", "weighting": "importance-examples"},
            "importance-examples",
            False,
            True,
        ),
        ({"weighting": "uniform"}, "uniform", True, True),
        ({"weighting": "uniform", "probe_tuning": "off"}, "uniform", False, False),
        ({"method": "fedavg", "probe_tuning": "on"}, "examples", True, True),
    ],
)
def test_the_method_decides_about_auto(settings, weighting, tunes, needs_probe):
    config = RunConfig.of(**settings)
    assert config.method.client_weighting == weighting
    assert config.tunes_on_probe == tunes
    assert config.needs_probe == needs_probe


@pytest.mark.parametrize(
    ("selection", "by", "metric"),
    [
        ("none", "none", "accuracy.complete"),
        ("clients", "clients", "accuracy.complete"),
        ("server:macro-f1.text-only", "server", "macro-f1.text-only"),
    ],
)
def test_a_selection_may_say_what_the_best_round_is_best_in(selection, by, metric):
    run = RunConfig.of(selection=selection).run
    assert (run.selected_by, run.selection_metric) == (by, metric)


@pytest.mark.parametrize("key", REPLACED)
def test_a_key_that_is_gone_names_what_to_write(key):
    known = RunConfig.keys()
    assert key not in known
    what = REPLACED[key].format(value=7)
    with pytest.raises(ConfigError, match=re.escape(f"key '{key}' is gone: {what}")):
        RunConfig.from_run_config({key: 7})

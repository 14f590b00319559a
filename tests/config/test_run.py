import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config import FREE_KEYS


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num-server-rounds", 0),
        ("num-server-rounds", 2.5),
        ("num-server-rounds", "many"),
        ("fraction-train", 0.0),
        ("fraction-train", 1.2),
        ("fraction-evaluate", -0.5),
        ("evaluate-every", 0),
        ("seed", -1),
        ("round-timeout", 0.0),
        ("min-nodes", -1),
        ("min-replies", 0),
        ("round-retries", -1),
        ("wire-dtype", "int8"),
        ("max-message-mb", 0.0),
        ("early-stopping-patience", -1),
    ],
)
def test_values_out_of_range_are_refused_by_key(refused, key, value):
    refused(key, value)


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


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ("best", "expected none, server, clients"),
        ("none:accuracy.complete", "expected none, server, clients"),
        ("server:acuracy.complete", "did you mean 'accuracy.complete'"),
        ("clients:", "expected accuracy.complete, accuracy.image-only"),
    ],
)
def test_a_selection_that_there_is_not_is_refused(refused, selection, said):
    assert said in refused("selection", selection)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"early_stopping_patience": 3}, "early-stopping-patience=3 needs a validation score"),
        ({"selection": "clients", "fraction_evaluate": 0.0}, "fraction-evaluate>0"),
    ],
    ids=str,
)
def test_a_best_round_needs_scores(settings, said):
    with pytest.raises(ConfigError, match=said):
        RunConfig.of(**settings)
    assert RunConfig.of(**{"fraction_evaluate": 1.0, **settings, "selection": "server"})


def test_what_may_change_when_a_run_is_gone_on_with_are_keys():
    assert {*FREE_KEYS} < {*RunConfig.keys()}

import pytest
import torch
from flwr.app import MetricRecord, RecordDict

from fedmvp_flwr.model.evaluation import Conditions
from fedmvp_flwr.protocol.scores import (
    average_client_metrics,
    client_metrics,
    wrong_losses,
    wrong_scores,
)


def conditions(make_batch, plain, completed):
    def some(counts):
        return {n: make_batch(8).select(torch.arange(count)) for n, count in counts.items()}

    return Conditions(some(plain), some(completed))


def record(metrics, count):
    return RecordDict({"metrics": MetricRecord({"num-examples": count, **metrics})})


@pytest.fixture
def both(make_batch):
    """One client that has both modalities, and one that has texts alone."""
    full = conditions(
        make_batch,
        {"complete": 6, "image-only": 6, "text-only": 6},
        {"image-only": 6, "text-only": 6},
    )
    half = conditions(
        make_batch, {"complete": 0, "image-only": 0, "text-only": 2, "given": 2}, {"text-only": 2}
    )
    first = {
        "accuracy": {"complete": 0.9, "image-only": 0.6, "text-only": 0.5},
        "macro-f1": {"complete": 0.8, "image-only": 0.5, "text-only": 0.4},
        "accuracy-with-completion": {"image-only": 0.7, "text-only": 0.6},
    }
    second = {"accuracy": {"text-only": 0.1, "given": 0.1}}
    return client_metrics(first, full), client_metrics(second, half)


def test_every_client_names_the_same_metrics(both):
    assert list(both[0]) == list(both[1])
    assert both[1]["accuracy.complete"] == 0
    assert both[1]["count.complete"] == 0
    assert both[1]["count.given"] == 2


def test_each_condition_is_averaged_over_its_own_samples(both):
    averaged = average_client_metrics([record(both[0], 6), record(both[1], 2)], "num-examples")
    assert averaged["accuracy.complete"] == pytest.approx(0.9)
    assert averaged["accuracy.text-only"] == pytest.approx((6 * 0.5 + 2 * 0.1) / 8)
    assert averaged["accuracy.given"] == pytest.approx(0.1)
    assert averaged["accuracy-with-completion.image-only"] == pytest.approx(0.7)


def test_conditions_that_nobody_meets_are_left_out(both):
    averaged = average_client_metrics([record(both[0], 6)], "num-examples")
    assert not [key for key in averaged if "given" in key or "count" in key or "num" in key]
    assert "accuracy-with-completion.complete" not in averaged


def test_what_clients_really_say_is_right(both):
    for metrics, count in zip(both, (6, 2), strict=True):
        said = MetricRecord({"num-examples": count, **metrics})
        for most in (None, count, count + 1):
            assert wrong_scores(said, most) is None


WRONG_SCORES = {
    "too good": ({"accuracy.complete": 1e9}, "accuracy.complete"),
    "negative": ({"macro-f1.text-only": -0.1}, "macro-f1.text-only"),
    "not a number": ({"accuracy-with-completion.given": float("nan")}, "is nan"),
    "a list": ({"accuracy.complete": [0.5]}, "accuracy.complete"),
    "absurd count": ({"count.complete": 1e308}, "count.complete"),
    "more than all": ({"count.complete": 7.0}, "[0, 6.0]"),
    "negative count": ({"count-with-completion.given": -1.0}, "count-with-completion.given"),
    "half a sample": ({"count.complete": 0.5}, "whole number"),
    "unknown name": ({"accuracy.perfect": 1.0}, "unknown metrics ['accuracy.perfect']"),
    "examples in a list": ({"num-examples": [6]}, "num-examples"),
    "too many examples": ({"num-examples": 7}, "claims 7 examples, but was admitted with 6"),
}


@pytest.mark.parametrize("name", WRONG_SCORES)
def test_scores_that_cannot_be_are_told(both, name):
    change, reason = WRONG_SCORES[name]
    said = MetricRecord({"num-examples": 6, **both[0], **change})
    assert reason in wrong_scores(said, 6)


@pytest.mark.parametrize("name", ["num-examples", "count.complete", "accuracy.complete"])
def test_a_score_that_is_missing_is_told(both, name):
    said = MetricRecord({"num-examples": 6, **both[0]})
    del said[name]
    assert f"missing metrics ['{name}']" in wrong_scores(said, 6)


def test_of_many_missing_scores_some_are_named():
    reason = wrong_scores(MetricRecord({"num-examples": 6, "accuracy.complete": 1.0}), 6)
    assert "and 32 more, unknown metrics []" in reason
    assert len(reason) < 200


LOSSES = dict.fromkeys(("total", "supervised", "matching", "margin", "auxiliary"), 0.5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"num-examples": 31}, "claims 31 examples, but was admitted with 30"),
        ({"num-examples": 1e308}, "but was admitted with 30"),
        ({"num-examples": float("nan")}, "but was admitted with 30"),
        ({"extra": 1.0}, "unknown metrics ['extra']"),
    ],
    ids=str,
)
def test_losses_have_known_names_and_a_known_number_of_examples(change, reason):
    said = MetricRecord({"num-examples": 30, **LOSSES, **change})
    found = wrong_losses(said, 30)
    assert found is None if reason is None else reason in found
    assert wrong_losses(MetricRecord({"num-examples": 99, **LOSSES}), None) is None
    assert "missing metrics ['total']" in wrong_losses(
        MetricRecord({n: v for n, v in said.items() if n != "total"}), 30
    )

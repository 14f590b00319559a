import pytest
import torch
from flwr.app import MetricRecord, RecordDict

from fedmvp_flwr.aggregation.scores import average_client_metrics, client_metrics
from fedmvp_flwr.evaluation import Conditions


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

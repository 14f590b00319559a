import pytest
from flwr.app import Error, Message, MetricRecord, RecordDict

from fedmvp_flwr.aggregation.reply_metrics import (
    average_metrics,
    disagreements,
    weight_of,
)

USUAL = {"num-examples": 5, "loss": 0.5}


def passes(client, metrics):
    """A check that refuses nothing."""


@pytest.fixture
def reply(answer, instruction):
    return lambda metrics=None, **extra: answer(instruction(), metrics=metrics, **extra)


@pytest.fixture
def error(instruction):
    return Message(Error(code=2, reason="out of memory"), reply_to=instruction())


def test_the_weight_of_a_reply(reply):
    assert weight_of(0, reply(USUAL), "num-examples", passes) == 5.0


@pytest.mark.parametrize(
    "metrics",
    [
        {"loss": 0.5},
        {"num-examples": 0, "loss": 0.5},
        {"num-examples": -3, "loss": 0.5},
        {"num-examples": float("nan"), "loss": 0.5},
        {"num-examples": float("inf"), "loss": 0.5},
        {"num-examples": [5, 5], "loss": 0.5},
        {"num-examples": 1e308, "loss": 0.5},
        {"num-examples": 5, "loss": float("nan")},
        {"num-examples": 5, "loss": [0.1, float("inf")]},
    ],
    ids=str,
)
def test_bad_metrics_give_no_weight(reply, metrics):
    with pytest.raises(ValueError, match="metric"):
        weight_of(0, reply(metrics), "num-examples", passes)


def test_there_must_be_one_record_and_no_error(reply, error):
    with pytest.raises(ValueError, match="out of memory"):
        weight_of(0, error, "num-examples", passes)
    two = reply(USUAL, more=MetricRecord(USUAL))
    for message in (reply(), two):
        with pytest.raises(ValueError, match="expected one MetricRecord"):
            weight_of(0, message, "num-examples", passes)


@pytest.mark.parametrize(
    "metrics",
    [
        {"num-examples": 5},
        {"num-examples": 5, "accuracy": 0.5},
        {"num-examples": 5, "loss": 0.5, "more": 1.0},
        {"num-examples": 5, "loss": [0.5]},
    ],
    ids=str,
)
def test_metrics_other_than_those_of_most_disagree(reply, metrics):
    reasons = disagreements([reply(m) for m in (metrics, USUAL, USUAL)])
    assert "other metrics" in reasons[0]
    assert reasons[1:] == [None, None]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("other", "shared"),
    [
        ({"num-examples": 5, "loss": 0.5, "more": 1.0}, {"num-examples", "loss"}),
        ({"num-examples": 5}, {"num-examples"}),
        ({"num-examples": 5, "loss": [0.5]}, {"num-examples"}),
    ],
    ids=["more", "fewer", "a list"],
)
def test_a_tie_of_names_rejects_nobody_and_keeps_what_both_say(reply, other, shared, swapped):
    messages = [reply(m) for m in ((USUAL, other) if swapped else (other, USUAL))]
    assert disagreements(messages) == [None, None]
    assert [message.content["metrics"].keys() for message in messages] == [shared] * 2


def test_a_tie_of_most_still_rejects_the_rest(reply):
    names = ["loss", "loss", "score", "score", "odd"]
    messages = [reply({"num-examples": 1, name: 1.0}) for name in names]
    reasons = disagreements(messages)
    assert [reason is None for reason in reasons] == [True] * 4 + [False]
    assert [m.content["metrics"].keys() for m in messages[:4]] == [{"num-examples"}] * 4


def test_an_average_that_fails_gives_no_metrics_and_is_named(log):
    def stumble(contents, weighted_by):
        raise KeyError("count")

    average = MetricRecord({"loss": 1.0})
    assert average_metrics(3, lambda contents, name: average, [RecordDict()], "n") is average
    assert average_metrics(3, stumble, [RecordDict()], "n") is None
    assert "Round 3: the metrics of the clients cannot be averaged" in log()

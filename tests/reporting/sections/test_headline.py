import pytest

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections import headline, scores


def build(run):
    return headline.build(run, scores.build(run))


@pytest.mark.parametrize(
    ("method", "title"),
    [("fedmvp", "FedMVP on flora"), ("fedavg", "FedAvg on flora"), ("server-only", "Server alone")],
)
def test_the_title_names_method_and_data(method, title):
    assert build(RunRecord(config={"method": method, "dataset": "flora"})).title.startswith(title)


def test_what_nobody_told_is_no_error():
    head = build(RunRecord())
    assert (head.title, head.sentence, head.when) == ("Run", "", "")
    assert head.sign == "…"
    assert "still going on" in head.reason


def test_the_sentence_says_what_is_classified_right():
    accuracy = {"complete": 0.876, "image-only": 0.8, "text-only": 0.705}
    head = build(RunRecord("completed", result={"accuracy": accuracy}))
    assert head.sentence == (
        "87.6% of the complete test samples are classified right, 80.0% from the image alone, "
        "70.5% from the text alone."
    )
    assert head.sign == "✓"


def test_baselines_are_named_by_what_they_do_without():
    nothing = {"image": {"made": 0, "reused": 0, "rejected": 0}}
    config = {"method": "fedavg", "incomplete": "drop", "fraction-train": 0.5}
    head = build(RunRecord(config=config, clients=[{"completions": nothing}] * 4))
    facts = dict(head.facts)
    assert facts["Method"] == "FedAvg, no completion, incomplete samples dropped"
    assert facts["Clients"] == "4 (50% per round)"


def test_rounds_that_are_left_and_the_time_it_took():
    run = RunRecord(
        "failed",
        "the disk is full",
        config={"num-server-rounds": 5},
        rounds=[{}, {}],
        started="2026-01-02T03:04:05+00:00",
        ended="2026-01-02T03:06:05+00:00",
    )
    head = build(run)
    assert dict(head.facts)["Rounds"] == "2 of 5"
    assert head.reason == "the disk is full"
    assert head.when.startswith("Started 2026-01-02 03:04 UTC, took 2 min")

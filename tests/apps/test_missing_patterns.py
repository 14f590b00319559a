"""Clients that lack a modality altogether take part, in every method."""

import pytest

CLIENTS = {"missing_pattern": "client", "missing_ratio": 0.67, "fraction_train": 1.0}
TESTS = {"test_missing_pattern": "client", "test_missing_ratio": 0.67}
METHODS = [
    {"method": "fedavg", "completion": "none", "incomplete": "drop"},
    {"method": "fedavg", "completion": "none"},
    {"method": "fedavg"},
    {"method": "fedmvp"},
    {"method": "fedmvp", "weighting": "uniform", "incomplete": "drop"},
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(m.values()))
def test_every_method(federate, method):
    result, events = federate(num_server_rounds=1, **CLIENTS, **TESTS, **method)
    assert result["status"] == "completed"
    clients = {e["partition-id"]: e for e in events if e["event"] == "client"}
    missing = sorted((c["missing"]["image"], c["missing"]["text"]) for c in clients.values())
    assert missing == [(0, 0), (0, 16), (16, 0)]
    (training,) = [event for event in events if event["event"] == "round"]
    assert training["rejected"] == []
    whole = [number for number, client in clients.items() if client["complete"]]
    drops = method.get("incomplete") == "drop" and method.get("completion") == "none"
    assert training["clients"] == (whole if drops else [0, 1, 2])
    at_clients = next(e for e in events if e["event"] == "evaluation" and e["where"] == "clients")
    assert {"complete", "image-only", "text-only", "given"} == set(at_clients["accuracy"])
    assert set(result["accuracy"]) == {"complete", "image-only", "text-only"}


def test_a_gate_without_own_pairs_takes_the_median_of_the_others(federate):
    result, events = federate(num_server_rounds=1, **CLIENTS, quality_gate=0.5)
    thresholds = {e["partition-id"]: e["gate-threshold"] for e in events if e["event"] == "client"}
    assert sorted(thresholds.values())[:2] == [-1.0, -1.0]
    assert max(thresholds.values()) > -1.0
    assert result["status"] == "completed"


def test_holes_in_the_test_set(federate):
    result, _ = federate(num_server_rounds=1, test_missing_ratio=0.5)
    assert set(result["accuracy"]) == {"complete", "image-only", "text-only", "given"}
    assert set(result["accuracy-with-completion"]) == {"image-only", "text-only", "given"}


def test_nobody_has_anything_to_train_on(federate):
    from fedmvp_flwr.errors import DataError

    settings = {"missing_ratio": 1.0, "completion": "none", "incomplete": "drop"}
    with pytest.raises(DataError, match="No client has anything to train on"):
        federate(missing_pattern="client", **settings)

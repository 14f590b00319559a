"""Clients that lack a modality altogether take part, in every method."""

import pytest

pytestmark = pytest.mark.slow

CLIENTS = {"missing_pattern": "owner", "missing_ratio": 0.67, "fraction_train": 1.0}
TESTS = {"test_missing_pattern": "owner", "test_missing_ratio": 0.67}
UNSEEN = {"unseen-image", "unseen-text"}  # of classes that no owner has an image, or a text, of
METHODS = [
    {"method": "fedavg", "completion": "retrieval"},
    {"method": "fedmvp", "completion": "retrieval"},
    {"method": "fedavg", "completion": "retrieval", "incomplete": "drop"},
    {"method": "fedavg", "completion": "none", "incomplete": "drop"},
    {"method": "fedavg", "completion": "none"},
    {"method": "fedavg"},
    {"method": "fedmvp"},
    {"method": "fedmvp", "completion": "none"},
    {"method": "fedmvp", "weighting": "uniform", "incomplete": "drop"},
]


@pytest.fixture
def evaluations(monkeypatch):
    """Of every evaluation at the clients: how many replies were taken, and what was rejected."""
    from fedmvp_flwr.aggregation import exchange

    seen = []
    real = exchange.check_evaluations

    def check(*given):
        valid, rejected = real(*given)
        seen.append((len(valid), rejected))
        return valid, rejected

    monkeypatch.setattr(exchange, "check_evaluations", check)
    return seen


@pytest.mark.parametrize("method", METHODS, ids=lambda m: "-".join(m.values()))
def test_every_method(federate, evaluations, method):
    result, events = federate(num_server_rounds=1, **CLIENTS, **TESTS, **method)
    assert result["status"] == "completed"
    clients = {e["partition-id"]: e for e in events if e["event"] == "client"}
    missing = sorted((c["missing"]["image"], c["missing"]["text"]) for c in clients.values())
    assert missing == [(0, 0), (0, 16), (16, 0)]
    (training,) = [event for event in events if event["event"] == "round"]
    assert training["rejected"] == []
    whole = [number for number, client in clients.items() if client["complete"]]
    # Retrieval among the client's own pairs has nothing to take from where there is none.
    drops = method.get("incomplete") == "drop" and "completion" in method
    assert training["clients"] == (whole if drops else [0, 1, 2])
    assert evaluations == [(3, [])]
    at_clients = next(e for e in events if e["event"] == "evaluation" and e["where"] == "clients")
    assert {"complete", "image-only", "text-only", "given"} == set(at_clients["accuracy"]) - UNSEEN
    assert set(result["accuracy"]) - UNSEEN == {"complete", "image-only", "text-only"}


def mask_file(folder, lost):
    """A mask that takes from every training sample of the `lost` modalities' clients that one."""
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.data.dealing.client_samples import split_dataset
    from fedmvp_flwr.data.sources.registry import load_dataset

    keys = {"train-samples": 48, "test-samples": 12, "partition": "iid"}
    config = RunConfig.from_run_config(keys)
    dataset = load_dataset(config.data, folder)
    parts = split_dataset(dataset, config.data, config.run, 3, folder)
    lines = ["key,image,text"]
    for split, dealt in (("train", parts.train), ("test", parts.test)):
        for client, part in enumerate(dealt):
            gone = lost.get(client)
            flags = f"{int(gone != 'image')},{int(gone != 'text')}"
            lines += [f"{dataset.splits[split][index].key},{flags}" for index in part]
    path = folder / "mask.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    ("method", "completion"), [("fedavg", "retrieval"), ("fedmvp", "foundation")]
)
def test_an_imported_mask_may_take_a_whole_modality_from_a_client(
    federate, evaluations, tmp_path, method, completion
):
    pattern = f"file:{mask_file(tmp_path, {0: 'image', 1: 'text'})}"
    result, events = federate(
        num_server_rounds=1,
        fraction_train=1.0,
        method=method,
        completion=completion,
        missing_pattern=pattern,
        test_missing_pattern=pattern,
    )
    assert result["status"] == "completed"
    (training,) = [event for event in events if event["event"] == "round"]
    assert (training["clients"], training["rejected"]) == ([0, 1, 2], [])
    assert evaluations == [(3, [])]


@pytest.mark.parametrize("method", ["fedavg", "fedmvp"])
def test_no_client_at_all_has_a_pair_to_retrieve_from(federate, evaluations, method):
    settings = {"missing_pattern": "owner", "missing_ratio": 1.0, "fraction_train": 1.0}
    result, _ = federate(num_server_rounds=1, method=method, completion="retrieval", **settings)
    assert result["status"] == "completed"
    assert evaluations == [(3, [])]


def test_a_gate_without_own_pairs_takes_the_median_of_the_others(federate):
    result, events = federate(num_server_rounds=1, **CLIENTS, quality_gate=0.5)
    thresholds = {e["partition-id"]: e["gate-threshold"] for e in events if e["event"] == "client"}
    assert sorted(thresholds.values())[:2] == [-1.0, -1.0]
    assert max(thresholds.values()) > -1.0
    assert result["status"] == "completed"


def test_holes_in_the_test_set(federate):
    result, _ = federate(num_server_rounds=1, test_missing_ratio=0.5)
    assert set(result["accuracy"]) - UNSEEN == {"complete", "image-only", "text-only", "given"}
    completed = set(result["accuracy-with-completion"])
    assert completed - UNSEEN == {"image-only", "text-only", "given"}


def test_nobody_has_anything_to_train_on(federate):
    from fedmvp_flwr.base.errors import DataError

    settings = {"missing_ratio": 1.0, "completion": "none", "incomplete": "drop"}
    with pytest.raises(DataError, match="No client has anything to train on"):
        federate(missing_pattern="owner", **settings)


@pytest.mark.parametrize(("pattern", "unseen"), [("class", UNSEEN), ("real", set())])
def test_pairs_that_no_owner_has_are_scored_by_themselves(federate, pattern, unseen):
    settings = {"missing_pattern": pattern, "missing_ratio": 0.9, "train_samples": 96}
    result, events = federate(num_server_rounds=1, completion="none", method="fedavg", **settings)
    assert set(result["accuracy"]) & UNSEEN == unseen
    clients = [event for event in events if event["event"] == "client"]
    for name in ("image", "text"):
        nobody = [sum(counts) for counts in zip(*(c["real"][name] for c in clients), strict=True)]
        assert (0 in nobody) == bool(unseen)

"""A split is dealt once and remembered; what is remembered is never trusted blindly."""

import json
from importlib.metadata import version

import pytest

from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.data.dealing import dealt
from fedmvp_flwr.data.dealing.dealt import remembered_split
from fedmvp_flwr.data.dealing.partition import Assignment

TRAIN = [(f"s{i}", i % 3, None) for i in range(6)]
TEST = [("t0", 0, None), ("t1", 1, None)]
SPLIT = Assignment([[0, 2, 4], [1, 3, 5]], [[0], [1]])


class Dealer:
    def __init__(self):
        self.calls = 0

    def __call__(self, *_):
        self.calls += 1
        return SPLIT


@pytest.fixture
def deal(monkeypatch):
    dealer = Dealer()
    monkeypatch.setattr(dealt, "assign", dealer)
    return dealer


def ask(folder, train=TRAIN, clients=2, partition="dirichlet", seed=0):
    remembered_split.cache_clear()
    return remembered_split(tuple(train), tuple(TEST), partition, seed, clients, folder)


def test_the_same_question_is_dealt_once(tmp_path, deal):
    assert ask(tmp_path) == ask(tmp_path) == SPLIT
    assert deal.calls == 1


@pytest.mark.parametrize(
    ("partition", "settings"),
    [
        ("dirichlet", ["dirichlet", 0.1, 3]),
        ("dirichlet:0.10", ["dirichlet", 0.1, 3]),
        ("dirichlet:0.5", ["dirichlet", 0.5, 3]),
        ("iid", ["iid", 0.1, 3]),
    ],
)
def test_what_earlier_versions_dealt_is_found(tmp_path, deal, partition, settings):
    inputs = {"train": TRAIN, "test": TEST, "settings": settings, "clients": 2}
    inputs["library"] = version("flwr-datasets")
    ask(tmp_path, partition=partition, seed=3)
    assert (tmp_path / "dealt" / f"{record_hash(inputs)}.json").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"partition": "dirichlet:0.7"},
        {"partition": "iid"},
        {"train": [("other", 0, None), *TRAIN[1:]]},
        {"train": [("s0", 2, None), *TRAIN[1:]]},
    ],
)
def test_another_question_is_dealt_anew(tmp_path, deal, changed):
    ask(tmp_path)
    ask(tmp_path, **changed)
    assert deal.calls == 2


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[]",
        json.dumps({"train": [[0], [1]], "test": [[0], [1]]}).encode(),
        json.dumps({"train": [[0, 1, 2, 3, 4, 5]], "test": [[0, 1]]}).encode(),
        json.dumps({"train": [[0, 2, 4, 4], [1, 3, 5]], "test": [[0], [1]]}).encode(),
    ],
)
def test_a_file_that_does_not_deal_every_sample_once_is_dealt_again(tmp_path, deal, damage):
    ask(tmp_path)
    (file,) = tmp_path.rglob("*.json")
    file.write_bytes(damage)
    assert ask(tmp_path) == SPLIT
    assert deal.calls == 2


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path, deal):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert ask(blocked) == SPLIT


@pytest.mark.parametrize(
    "partition", ["shards", "pathological:1", "column:brand", "file:/owners.csv"]
)
def test_what_is_dealt_without_the_library_is_not_remembered(tmp_path, deal, partition):
    ask(tmp_path, partition=partition)
    ask(tmp_path, partition=partition)
    assert deal.calls == 2
    assert not list(tmp_path.rglob("*.json"))

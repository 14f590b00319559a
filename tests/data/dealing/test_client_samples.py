"""What a client is dealt, with its holes."""

import json
from dataclasses import dataclass, replace
from importlib.util import find_spec

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import client_samples, held_out_split

pytestmark = pytest.mark.skipif(
    find_spec("flwr_datasets") is None, reason="the partitioners come with the extra 'data'"
)


@dataclass(frozen=True)
class Picture:
    digest: str

    @property
    def brightness(self):
        return int(self.digest) / 100


class TinyData:
    class_names = ("a", "b")

    def __init__(self, train=40, test=20):
        self.splits = {
            name: [Sample(f"{name}-{i}", i % 2, Picture(f"{i}"), f"text {i}") for i in range(count)]
            for name, count in (("train", train), ("test", test))
        }


def owned(dataset, config, node):
    return client_samples(dataset, node, config.data, config.missing, config.run)


@pytest.fixture
def node(tmp_path):
    return Node(1, 4, tmp_path / "cache")


def test_a_client_gets_its_samples_with_their_holes(node):
    config = RunConfig.of(partition="iid", missing_pattern="random", missing_ratio=0.8)
    samples = owned(TinyData(), config, node)
    assert len(samples.train) == 10
    assert sum(s.complete for s in samples.train) == 2
    assert all(s.complete for s in samples.test)
    assert owned(TinyData(), config, node) == samples


def test_split_and_mask_are_saved_under_their_hashes(node):
    samples = owned(TinyData(), RunConfig.of(partition="iid"), node)
    mask = json.loads((node.cache_dir / "masks" / f"{samples.mask_hash}.json").read_text())
    assert mask["keys"] == [s.key for s in samples.train]
    split = json.loads((node.cache_dir / "splits" / f"{samples.split_hash}.json").read_text())
    assert sorted(i for part in split["train"] for i in part) == list(range(40))


def test_every_client_knows_the_same_split_and_its_own_mask(tmp_path):
    config = RunConfig.of(partition="iid")
    all_samples = [owned(TinyData(), config, Node(i, 4, tmp_path)) for i in range(4)]
    assert len({s.split_hash for s in all_samples}) == 1
    assert len({s.mask_hash for s in all_samples}) == 4
    keys = [sample.key for s in all_samples for sample in (*s.train, *s.test)]
    assert len(keys) == len(set(keys)) == 60


def test_the_test_set_is_complete_by_default(node):
    for pattern in ("random", "class", "content", "real", "owner"):
        samples = owned(
            TinyData(), RunConfig.of(test_missing_pattern=pattern, partition="iid"), node
        )
        assert all(sample.complete for sample in samples.test)


def test_real_and_simulated_holes_together(tmp_path):
    data = TinyData()
    data.splits["train"] = [
        replace(sample, text=None) if i % 4 == 0 else sample
        for i, sample in enumerate(data.splits["train"])
    ]
    for pattern in ("random", "class", "owner", "content", "real"):
        config = RunConfig.of(partition="iid", missing_ratio=0.5, missing_pattern=pattern)
        for i in range(4):
            for sample in owned(data, config, Node(i, 4, tmp_path)).train:
                assert sample.has("image") or sample.has("text")
                if int(sample.key.removeprefix("train-")) % 4 == 0:
                    assert not sample.has("text")
                    assert sample.has("image")


def test_a_folder_of_its_own_is_taken_as_it_is(tmp_path):
    own = Node(-1, 0, tmp_path / "cache", tmp_path, "north")
    data = TinyData(train=4, test=2)
    data.splits["train"][0] = replace(data.splits["train"][0], image=None)
    samples = owned(data, RunConfig.of(missing_ratio=0.8, partition="iid"), own)
    assert samples.train == tuple(data.splits["train"])
    assert samples.test == tuple(data.splits["test"])
    other = owned(TinyData(train=4, test=2), RunConfig.of(), own)
    assert other.split_hash == samples.split_hash
    assert other.mask_hash != samples.mask_hash


def test_models_may_be_selected_on_clients_validation_samples(tmp_path):
    data = TinyData()
    assert held_out_split(data, RunConfig.of(selection="clients").run) == "test"
    data.splits["val"] = data.splits["test"][:6]
    assert held_out_split(data, RunConfig.of(selection="clients").run) == "val"
    assert held_out_split(data, RunConfig.of().run) == "test"

from types import SimpleNamespace

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.server import data as module
from fedmvp_flwr.server.data import load_server_dataset, server_test, server_validation


def samples(name, count):
    image = SimpleNamespace(digest="0a")
    return [Sample(f"{name}-{i}", i % 2, image, f"text {i}") for i in range(count)]


def dataset(**counts):
    splits = {name: samples(name, count) for name, count in counts.items()}
    return SimpleNamespace(class_names=("a", "b"), splits=splits)


@pytest.fixture
def load(monkeypatch):
    """Open the server's data of given splits."""

    def opened(splits, **settings):
        monkeypatch.setattr(module, "load_dataset", lambda data, cache: splits)
        config = RunConfig.of(**settings)
        return load_server_dataset(config.data, config.missing, config.run)

    return opened


def test_selection_by_the_server_needs_a_validation_split(load):
    for splits in (dataset(train=4, test=2), dataset(train=4, test=2, val=0)):
        with pytest.raises(DataError, match=r"validation split \('val'\).*validation-samples=200"):
            load(splits, selection="server")
        assert load(splits, selection="clients") is splits
    whole = dataset(train=4, test=2, val=1)
    assert load(whole, selection="server:macro-f1.complete") is whole


def test_an_unknown_pattern_of_holes_is_refused_before_the_data_are_opened(monkeypatch):
    config = RunConfig.of(test_missing_pattern="randm", dataset="folder:/nowhere")
    with pytest.raises(ConfigError, match="did you mean 'random'"):
        load_server_dataset(config.data, config.missing, config.run)


@pytest.mark.parametrize(("ratio", "holes"), [(0.0, 0), (0.5, 4), (1.0, 8)])
def test_the_test_set_has_the_holes_that_are_asked_for(ratio, holes):
    missing = RunConfig.of(test_missing_ratio=ratio, missing_image_share=0.5).missing
    found = server_test(dataset(test=8), missing, seed=3)
    assert [sample.key for sample in found] == [f"test-{i}" for i in range(8)]
    assert sum(not sample.complete for sample in found) == holes
    assert sum(sample.image is None for sample in found) == holes // 2
    assert server_test(dataset(test=8), missing, seed=3) == found


@pytest.mark.parametrize("splits", [{"train": 3}, {"train": 3, "test": 0}])
def test_a_server_need_not_have_a_test_set(splits):
    assert server_test(dataset(**splits), RunConfig.of(test_missing_ratio=0.5).missing, 0) == ()


@pytest.mark.parametrize(("selection", "count"), [("none", 0), ("clients", 0), ("server", 5)])
def test_validation_samples_are_the_servers_where_it_selects(selection, count):
    splits = dataset(test=2, val=5)
    assert len(server_validation(splits, RunConfig.of(selection=selection).run)) == count

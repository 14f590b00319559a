import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.pretraining.split import load_pairs


def test_pairs_of_a_split_alone_are_learned_from(config):
    pairs = load_pairs(config.data, cache_folder(config.run), "public", 0)
    keys = {sample.key for sample in (*pairs.train, *pairs.held_out)}
    assert len(keys) == 23
    assert pairs.skipped == 1
    assert all("public" in key for key in keys)
    assert len(pairs.held_out) == 2
    assert pairs.class_names == ("blue", "green", "red")


def test_held_out_pairs_depend_on_the_seed_alone(config):
    first, again, other = (
        load_pairs(config.data, cache_folder(config.run), "public", seed).held_out
        for seed in (0, 0, 5)
    )
    assert first == again
    assert first != other


def test_splits_can_be_joined(config):
    pairs = load_pairs(config.data, cache_folder(config.run), "public+train", 0)
    assert len(pairs.train) + len(pairs.held_out) == 35


def test_an_unknown_split_is_named_with_those_that_there_are(config):
    with pytest.raises(DataError, match=r"no split 'publik'.*'public' \(24\)"):
        load_pairs(config.data, cache_folder(config.run), "publik", 0)


def test_a_folder_of_public_data_alone_will_do(write, tmp_path):
    root = write(tmp_path / "public", {"public": 20})
    config = RunConfig.of(dataset=f"folder:{root}", cache_dir=str(tmp_path / "cache"))
    pairs = load_pairs(config.data, cache_folder(config.run), "public", 0)
    assert len(pairs.train) + len(pairs.held_out) == 20


def test_data_without_splits_is_not_taken_for_public(write, tmp_path):
    root = write(tmp_path / "plain", {"": 20})
    config = RunConfig.of(dataset=f"folder:{root}", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="no split 'public'"):
        load_pairs(config.data, cache_folder(config.run), "public", 0)
    both = load_pairs(config.data, cache_folder(config.run), "train+test", 0)
    assert len(both.train) + len(both.held_out) == 20


def test_too_few_pairs_are_refused(write, tmp_path):
    root = write(tmp_path / "few", {"public": 5, "train": 3, "test": 3})
    config = RunConfig.of(dataset=f"folder:{root}", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match="holds 5 samples"):
        load_pairs(config.data, cache_folder(config.run), "public", 0)

import os
from pathlib import Path

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.errors import ConfigError
from fedmvp_flwr.node import cache_folder, output_folder, read_node


def test_a_simulated_node(tmp_path):
    config = RunConfig(cache_dir=str(tmp_path))
    node = read_node({"partition-id": 3, "num-partitions": 10}, config)
    assert (node.partition_id, node.num_partitions, node.cache_dir) == (3, 10, tmp_path)


def test_a_node_may_have_its_own_cache(tmp_path):
    node = read_node(
        {"partition-id": 0, "num-partitions": 2, "cache-dir": str(tmp_path / "own")},
        RunConfig(cache_dir=str(tmp_path)),
    )
    assert node.cache_dir == tmp_path / "own"


@pytest.mark.parametrize(
    "node_config",
    [
        {},
        {"partition-id": 1},
        {"num-partitions": 2},
        {"partition-id": "first", "num-partitions": 2},
        {"partition-id": 2, "num-partitions": 2},
        {"partition-id": -1, "num-partitions": 2},
        {"partition-id": 0, "num-partitions": 0},
    ],
    ids=str,
)
def test_a_node_without_a_place_is_refused(node_config):
    with pytest.raises(ConfigError, match=r"partition-id"):
        read_node(node_config, RunConfig())


def test_folders_are_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cache_folder(RunConfig()) == tmp_path / ".fedmvp" / "cache"
    assert cache_folder(RunConfig(cache_dir="~/here")) == tmp_path / "here"
    assert cache_folder(RunConfig(cache_dir="here")) == tmp_path / "here"
    assert output_folder(RunConfig(), 42) == tmp_path / ".fedmvp" / "runs" / "42"


def test_the_output_folder_is_made_and_left_empty(tmp_path):
    folder = output_folder(RunConfig(out_dir=str(tmp_path / "a" / "b")), 1)
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_an_output_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"out-dir=.*cannot be written"):
        output_folder(RunConfig(out_dir=str(tmp_path / "file" / "below")), 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_rights_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        output_folder(RunConfig(out_dir=str(folder)), 1)


def test_a_missing_right_is_said_in_words(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        output_folder(RunConfig(out_dir=str(tmp_path)), 1)

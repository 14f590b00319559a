import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.client.log import node_event
from fedmvp_flwr.config.node import Node, read_node, require_lasting
from fedmvp_flwr.config.run import RunSettings


def test_a_simulated_node(tmp_path):
    config = RunConfig.of(cache_dir=str(tmp_path))
    node = read_node({"partition-id": 3, "num-partitions": 10}, config.run)
    assert (node.partition_id, node.num_partitions, node.cache_dir) == (3, 10, tmp_path)


def test_a_node_may_have_its_own_cache(tmp_path):
    node = read_node(
        {"partition-id": 0, "num-partitions": 2, "cache-dir": str(tmp_path / "own")},
        RunConfig.of(cache_dir=str(tmp_path)).run,
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
        read_node(node_config, RunSettings())


def test_a_node_with_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = RunConfig.of(cache_dir="/the/servers/choice", dataset="nodes")
    node = read_node({"data-path": str(tmp_path), "name": "north"}, config.run, 77)
    assert (node.data_path, node.name, node.key) == (tmp_path, "north", "north")
    assert node.cache_dir == tmp_path / ".fedmvp" / "cache", "a run must not choose where it writes"
    own = node.own(config)
    assert (own.data.dataset, own.run.cache_dir) == (f"folder:{tmp_path}", str(node.cache_dir))
    assert own.run.seed == config.run.seed


def test_what_a_nodes_draws_are_named_after(tmp_path):
    def key(**node_config):
        names = {name.replace("_", "-"): value for name, value in node_config.items()}
        return read_node({"data-path": str(tmp_path), **names}, RunSettings(), 77).key

    assert key() == 77
    assert key(name="north") == "north"
    assert key(name="north", partition_id=4) == 4


def test_what_is_prepared_ahead_needs_a_name_to_be_found_by(tmp_path):
    def node(**node_config):
        names = {name.replace("_", "-"): value for name, value in node_config.items()}
        return read_node({"data-path": str(tmp_path), **names}, RunSettings())

    with pytest.raises(ConfigError, match=r"without name.*name=\"hospital-a\"") as error:
        require_lasting(node())
    assert str(tmp_path) in str(error.value)
    for known in (node(name="north"), node(partition_id=0), Node(1, 3, tmp_path)):
        require_lasting(known)


def test_a_node_without_a_name_is_told_once_what_it_loses(tmp_path, caplog):
    def read(**more):
        node_config = {"data-path": str(tmp_path), "cache-dir": str(tmp_path / "cache"), **more}
        return read_node(node_config, RunSettings(), 77)

    read(name="north")
    assert not caplog.records
    node = read()
    assert node.key == 77
    (record,) = caplog.records
    assert "Flower's id 77" in record.getMessage()
    with node_event(node, "prepare"):
        pass
    read()
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("node_config", "message"),
    [
        ({"data-path": "/no/such/folder"}, "no folder on this machine"),
        ({"data-path": "relative"}, "not absolute"),
        ({"data_path": "/tmp"}, "did you mean 'data-path'"),
        ({"partition-id": 0, "num-partitons": 2}, "did you mean 'num-partitions'"),
        ({}, "neither data-path nor partition-id"),
    ],
    ids=lambda value: str(value),
)
def test_what_is_wrong_with_a_node_config_is_named(node_config, message):
    with pytest.raises(ConfigError, match=message) as error:
        read_node(node_config, RunSettings())
    assert "--node-config" in str(error.value)


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        read_node({"data-path": "/no/such", "nam": "x"}, RunSettings())
    assert "no folder" in str(error.value)
    assert "'nam'" in str(error.value)

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.nodes import load_nodes


def test_the_server_knows_the_classes_and_no_sample(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("oak\ta tree with acorns\nelm\n")
    data = RunConfig.of(dataset="nodes", class_names_file=str(path)).data
    dataset = load_nodes(None, data, tmp_path)
    assert dataset.class_names == ("oak", "elm")
    assert dataset.class_descriptions == ("a tree with acorns", "elm")
    assert dict(dataset.splits) == {"train": (), "test": ()}


def test_without_class_names_it_says_what_to_write(tmp_path):
    with pytest.raises(DataError, match="Set class-names-file"):
        load_nodes(None, RunConfig.of(dataset="nodes").data, tmp_path)

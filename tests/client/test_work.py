import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.client.work import discreet
from fedmvp_flwr.config.node import Node

ERROR = DataError("dataset='x' has 3 bad sample(s).\n  2 x unknown label: a.jsonl:3: 'Smith'")


def told_by(node):
    with pytest.raises(DataError) as told, discreet(node):
        raise ERROR
    return str(told.value)


def test_of_an_own_folder_only_the_kind_of_problem_is_told(tmp_path, caplog):
    own = told_by(Node(-1, 0, tmp_path, tmp_path))
    assert "DataError (2 x unknown label)" in own
    assert "Smith" not in own
    assert "a.jsonl" not in own
    assert "Smith" in caplog.text, "the node's own log says it"
    assert told_by(Node(0, 2, tmp_path)) == str(ERROR)

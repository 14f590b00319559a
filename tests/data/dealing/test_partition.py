import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.partition import assign, matching_indices, owner_column

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")

TRAIN = [Sample(f"s{i}", i % 4, None, "t") for i in range(120)]


def deal(clients=4, partition="iid", seed=0):
    return assign(TRAIN, TRAIN[:12], partition, clients, seed)


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ("dirichlett", r"\(did you mean 'dirichlet'\?\)"),
        ("colum:site", r"\(did you mean 'column'\?\)"),
        ("by-luck", r"expected column:\.\.\., dirichlet:\.\.\., file:\.\.\., iid, pathological:"),
        ("column:", "expected 'column:' and a column"),
        ("dirichlet:0", "expected 'dirichlet:' and a number above 0"),
        ("dirichlet:nan", "expected 'dirichlet:' and a number above 0"),
        ("shards:1.5", "expected 'shards:' and a whole number above 0"),
        ("iid:3", "expected 'iid' alone"),
    ],
)
def test_a_partition_that_is_not_known(partition, message):
    for use in (lambda: deal(partition=partition), lambda: owner_column(partition)):
        with pytest.raises(ConfigError, match=f"partition='{partition}': .*{message}"):
            use()


def test_only_a_column_is_one():
    assert owner_column("column:site") == "site"
    assert owner_column("file:/a.csv") == owner_column("iid") == ""


def test_a_partition_without_a_number_has_its_default():
    assert deal(partition="dirichlet") == deal(partition="dirichlet:0.1")
    assert deal(partition="shards") == deal(partition="shards:2") != deal(partition="shards:3")
    assert deal(partition="pathological") == deal(partition="pathological:2")


@pytest.mark.parametrize("clients", [-1, 0, 1])
def test_fewer_than_two_clients_are_refused(clients):
    with pytest.raises(DataError, match="at least 2 clients"):
        deal(clients)


def test_more_clients_than_samples_are_refused():
    with pytest.raises(DataError, match="121 clients cannot share 120"):
        deal(121)


def test_held_out_samples_follow_the_training_labels():
    train = [0] * 10 + [1] * 10 + [2] * 10
    parts = [list(range(10)), list(range(10, 30))]
    held_out = [0, 1, 2] * 20
    dealt = matching_indices(held_out, train, parts, seed=0)
    assert sorted(index for part in dealt for index in part) == list(range(60))
    assert dealt[0] == list(range(0, 60, 3))
    assert all(part == sorted(part) for part in dealt)
    assert matching_indices(held_out, train, parts, seed=0) == dealt


def test_held_out_samples_are_shared_in_proportion():
    parts = [list(range(75)), list(range(75, 100))]
    dealt = matching_indices([0] * 2000, [0] * 100, parts, seed=0)
    assert len(dealt[0]) / 2000 == pytest.approx(0.75, abs=0.05)
    assert matching_indices([0] * 2000, [0] * 100, parts, seed=1) != dealt


def test_a_class_that_nobody_trains_on_is_dealt_evenly():
    dealt = matching_indices([1] * 1000, [0] * 4, [[0, 1], [2, 3]], seed=0)
    assert len(dealt[0]) == pytest.approx(500, abs=80)

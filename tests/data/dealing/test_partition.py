from itertools import pairwise

import numpy as np
import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.dealing.partition import matching_indices, partition_indices

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")

LABELS = [i % 4 for i in range(120)]


def deal(clients=4, labels=LABELS, **settings):
    return partition_indices(labels, RunConfig.of(**settings), clients)


def skew(parts, labels=LABELS):
    """Mean over the clients of the share of their most frequent class."""
    return np.mean([np.bincount([labels[i] for i in part]).max() / len(part) for part in parts])


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "shards", "pathological"])
def test_every_sample_is_dealt_once(partition):
    parts = deal(partition=partition)
    assert len(parts) == 4
    assert sorted(index for part in parts for index in part) == list(range(120))
    assert all(part == sorted(part) and len(part) >= 5 for part in parts)


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "shards", "pathological"])
def test_the_seed_decides(partition):
    assert deal(partition=partition, seed=1) == deal(partition=partition, seed=1)
    assert deal(partition=partition, seed=1) != deal(partition=partition, seed=2)


def test_other_settings_do_not_move_samples():
    assert deal(missing_ratio=0.1, method="fedavg") == deal()


def test_iid_parts_are_of_one_size_and_mixed():
    parts = deal(partition="iid")
    assert {len(part) for part in parts} == {30}
    assert skew(parts) < 0.5
    assert parts[0] != list(range(30))


def test_a_smaller_alpha_is_more_skewed():
    assert skew(deal(dirichlet_alpha=0.1)) > skew(deal(dirichlet_alpha=100.0)) + 0.2


def test_as_many_clients_as_samples():
    assert sorted(deal(3, [0, 1, 0], partition="iid")) == [[0], [1], [2]]


@pytest.mark.parametrize("clients", [-1, 0, 1])
def test_fewer_than_two_clients_are_refused(clients):
    with pytest.raises(DataError, match="at least 2 clients"):
        deal(clients)


def test_more_clients_than_samples_are_refused():
    with pytest.raises(DataError, match="121 clients cannot share 120"):
        deal(121)


def test_a_skew_that_starves_clients_is_refused():
    with pytest.raises(DataError, match="Use a larger alpha"):
        deal(20, dirichlet_alpha=0.01)


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


@pytest.mark.parametrize("count", [120, 121, 127])
def test_shards_hold_few_classes_and_lose_no_sample(count):
    labels = sorted(i % 8 for i in range(count))
    parts = deal(4, labels, partition="shards", classes_per_client=2)
    assert sorted(i for part in parts for i in part) == list(range(count))
    assert all(len({labels[i] for i in part}) <= 4 for part in parts)
    assert skew(parts, labels) > 0.4


@pytest.mark.parametrize(("clients", "classes"), [(10, 3), (10, 4), (30, 1), (7, 30), (60, 2)])
def test_pathological_clients_have_so_many_classes(clients, classes):
    labels = [i % 30 for i in range(600)]
    parts = deal(clients, labels, partition="pathological", classes_per_client=classes)
    assert sorted(i for part in parts for i in part) == list(range(600))
    assert {len({labels[i] for i in part}) for part in parts} == {classes}


def test_pathological_settings_that_cannot_be():
    labels = [i % 30 for i in range(600)]
    with pytest.raises(DataError, match="choose 3 to 30"):
        deal(10, labels, partition="pathological", classes_per_client=2)
    with pytest.raises(DataError, match="choose 3 to 30"):
        deal(10, labels, partition="pathological", classes_per_client=31)
    with pytest.raises(DataError, match="Class 0 has 4 samples for 5 clients"):
        deal(5, [i % 3 for i in range(12)], partition="pathological", classes_per_client=3)


def test_more_shards_than_samples():
    labels = [0, 1, 2, 3, 4, 5]
    with pytest.raises(
        DataError, match=r"=2 shards for each of 5 clients .* 6 samples\. Use fewer"
    ):
        deal(5, labels, partition="shards", classes_per_client=2)
    assert {len(part) for part in deal(5, labels, partition="shards", classes_per_client=1)} == {
        1,
        2,
    }


@pytest.mark.parametrize(
    ("count", "clients", "pieces"), [(1000, 100, 7), (11, 5, 2), (120, 8, 3), (9, 3, 3)]
)
def test_every_client_gets_so_many_shards(count, clients, pieces):
    labels = list(range(count))
    parts = deal(clients, labels, partition="shards", classes_per_client=pieces)
    assert sorted(i for part in parts for i in part) == labels
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= pieces
    assert pieces * (count // (clients * pieces)) <= min(sizes)
    runs = [1 + sum(b - a > 1 for a, b in pairwise(part)) for part in parts]
    assert max(runs) == pieces, "neighbouring shards may come together, none is cut further"


class Watched(list):
    """Labels that count how often they are gone through."""

    rounds = 0

    def __iter__(self):
        self.rounds += 1
        return super().__iter__()


def test_many_classes_are_dealt_in_a_few_rounds():
    labels = Watched(i % 500 for i in range(2000))
    partition_indices(labels, RunConfig.of(partition="pathological", classes_per_client=100), 5)
    assert labels.rounds < 5

from itertools import pairwise

import numpy as np
import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.dealing import by_label

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")

LABELS = [i % 4 for i in range(120)]


def deal(clients=4, labels=LABELS, how="dirichlet", value=None, seed=0):
    value = {"dirichlet": 0.1, "iid": None}.get(how, 2) if value is None else value
    return getattr(by_label, how)(labels, value, clients, seed)


def skew(parts, labels=LABELS):
    """Mean over the clients of the share of their most frequent class."""
    return np.mean([np.bincount([labels[i] for i in part]).max() / len(part) for part in parts])


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "shards", "pathological"])
def test_every_sample_is_dealt_once(partition):
    parts = deal(how=partition)
    assert len(parts) == 4
    assert sorted(index for part in parts for index in part) == list(range(120))
    assert all(part == sorted(part) and len(part) >= 5 for part in parts)


@pytest.mark.parametrize("partition", ["iid", "dirichlet", "shards", "pathological"])
def test_the_seed_decides(partition):
    assert deal(how=partition, seed=1) == deal(how=partition, seed=1)
    assert deal(how=partition, seed=1) != deal(how=partition, seed=2)


def test_iid_parts_are_of_one_size_and_mixed():
    parts = deal(how="iid")
    assert {len(part) for part in parts} == {30}
    assert skew(parts) < 0.5
    assert parts[0] != list(range(30))


def test_a_smaller_alpha_is_more_skewed():
    assert skew(deal(value=0.1)) > skew(deal(value=100.0)) + 0.2


def test_as_many_clients_as_samples():
    assert sorted(deal(3, [0, 1, 0], how="iid")) == [[0], [1], [2]]


def test_a_skew_that_starves_clients_is_refused():
    with pytest.raises(DataError, match="Use a larger alpha"):
        deal(20, value=0.01)


@pytest.mark.parametrize("count", [120, 121, 127])
def test_shards_hold_few_classes_and_lose_no_sample(count):
    labels = sorted(i % 8 for i in range(count))
    parts = deal(4, labels, how="shards", value=2)
    assert sorted(i for part in parts for i in part) == list(range(count))
    assert all(len({labels[i] for i in part}) <= 4 for part in parts)
    assert skew(parts, labels) > 0.4


@pytest.mark.parametrize(("clients", "classes"), [(10, 3), (10, 4), (30, 1), (7, 30), (60, 2)])
def test_pathological_clients_have_so_many_classes(clients, classes):
    labels = [i % 30 for i in range(600)]
    parts = deal(clients, labels, how="pathological", value=classes)
    assert sorted(i for part in parts for i in part) == list(range(600))
    assert {len({labels[i] for i in part}) for part in parts} == {classes}


def test_pathological_settings_that_cannot_be():
    labels = [i % 30 for i in range(600)]
    with pytest.raises(DataError, match="choose 3 to 30"):
        deal(10, labels, how="pathological", value=2)
    with pytest.raises(DataError, match="choose 3 to 30"):
        deal(10, labels, how="pathological", value=31)
    with pytest.raises(DataError, match="Class 0 has 4 samples for 5 clients"):
        deal(5, [i % 3 for i in range(12)], how="pathological", value=3)


def test_more_shards_than_samples():
    labels = [0, 1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"2 shards for each of 5 clients .* 6 samples\. Use fewer"):
        deal(5, labels, how="shards", value=2)
    assert {len(part) for part in deal(5, labels, how="shards", value=1)} == {
        1,
        2,
    }


@pytest.mark.parametrize(
    ("count", "clients", "pieces"), [(1000, 100, 7), (11, 5, 2), (120, 8, 3), (9, 3, 3)]
)
def test_every_client_gets_so_many_shards(count, clients, pieces):
    labels = list(range(count))
    parts = deal(clients, labels, how="shards", value=pieces)
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
    deal(5, labels, how="pathological", value=100)
    assert labels.rounds < 5

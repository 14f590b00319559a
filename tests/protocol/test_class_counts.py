import pytest
import torch
from flwr.app import ConfigRecord

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.protocol.summary import read_summary


@pytest.fixture
def counts(summary):
    """Two owners: one has no image at all, and nobody has a sample of the second class."""
    other = {"labels": [1, 0, 4], "real": {"image": [0, 0, 0], "text": [1, 0, 0]}}
    return ClassCounts.of([read_summary(summary), read_summary(summary | other)], 3)


def test_the_owners_counts_are_added_up(counts):
    assert counts.samples == [4, 0, 6]
    assert counts.real == {"image": [1, 0, 1], "text": [4, 0, 2]}


def test_without_owners_nothing_is_counted():
    assert ClassCounts.of([], 2) == ClassCounts([0, 0], {"image": [0, 0], "text": [0, 0]})


def test_shares_are_of_the_class(counts):
    shares = counts.real_shares()
    torch.testing.assert_close(shares["image"], torch.tensor([1 / 4, 1.0, 1 / 6]))
    torch.testing.assert_close(shares["text"], torch.tensor([1.0, 1.0, 1 / 3]))


def test_unseen_are_the_classes_that_nobody_really_has(counts):
    assert counts.unseen()["image"].tolist() == [False, True, False]
    assert counts.unseen()["text"].tolist() == [False, True, False]


def test_they_come_through_a_message(counts):
    assert ClassCounts.of_record(ConfigRecord({**counts.record()})) == counts


@pytest.mark.parametrize("change", [{"class-samples": 3}, {"class-real-text": None}])
def test_a_message_without_them_is_of_another_version(counts, change):
    with pytest.raises(DataError, match="another version"):
        ClassCounts.of_record(counts.record() | change)
    without = {k: v for k, v in counts.record().items() if k not in change}
    with pytest.raises(DataError, match="another version"):
        ClassCounts.of_record(without)

from dataclasses import FrozenInstanceError

import pytest
from flwr.app import ArrayRecord, MetricRecord

from fedmvp_flwr import RoundObserver, RoundRecord
from fedmvp_flwr.aggregation.observer import FinishedRound

RECORD = RoundRecord(1, [0, 1], [0.5, 0.5], None, None, {"loss": 1.0}, [], 10, 12)


def test_an_observer_that_overrides_nothing_lets_everything_pass():
    observer, metrics = RoundObserver(), MetricRecord({"accuracy": 7.0})
    assert observer.admit(None, [3, 1]) == [3, 1]
    assert observer.may_train(0)
    assert observer.check_training(0, metrics) is observer.check_evaluation(0, metrics) is None
    assert not observer.finished(FinishedRound(1, ArrayRecord(), None, None))
    assert observer.checkpoint_metadata() == {}


def test_a_run_with_it_ends_like_one_that_is_watched(make, grid, initial):
    watched, seen = make()
    alone, _ = make(observer=RoundObserver())
    expected = watched.start(grid(), initial, 2)
    result = alone.start(grid(), initial, 2)
    assert all(result.arrays[name].data == expected.arrays[name].data for name in initial)
    assert [record.server_round for record in seen.records] == [1, 2]


def test_each_round_is_told_in_its_order(make, grid, initial):
    told = []

    class Listening(RoundObserver):
        def trained(self, record):
            told.append(("trained", record.server_round))

        def evaluated(self, server_round, scores, rejected):
            told.append(("evaluated", server_round))

        def finished(self, finished):
            told.append(("finished", finished.server_round))
            return False

    strategy, _ = make(observer=Listening(), fraction_evaluate=1.0)
    strategy.start(grid(), initial, 2)
    steps = ("trained", "evaluated", "finished")
    assert told == [(step, number) for number in (1, 2) for step in steps]


def test_what_happened_is_not_changed_afterwards_and_has_durations_of_its_own():
    with pytest.raises(FrozenInstanceError):
        RECORD.clients = []
    other = RoundRecord(2, [0], [1.0], None, None, {}, [], 10, 12)
    other.seconds["train"] = 1.0
    assert RECORD.seconds == {}

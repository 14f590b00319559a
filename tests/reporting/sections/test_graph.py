import numpy as np
import pytest

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.graph import build, mean_similarity, similarity

MATRIX = [[1.0, 0.5, 0.9], [0.5, 1.0, 0.7], [0.9, 0.7, 1.0]]


def rounds(count, matrix=MATRIX):
    return [{"round": r, "clients": [0, 3, 7], "similarity": matrix} for r in range(1, count + 1)]


def test_the_mean_is_over_different_clients():
    assert mean_similarity(np.array(MATRIX)) == pytest.approx((0.5 + 0.9 + 0.7) / 3)
    assert mean_similarity(np.ones((1, 1))) is None
    assert similarity({"similarity": None}) is None


def test_first_middle_and_last_round_are_large_and_the_others_small():
    found = build(RunRecord(rounds=rounds(7)))
    assert [name for name, _ in found.large] == ["1", "4", "7"]
    assert [mini.server_round for mini in found.minis] == ["2", "3", "5", "6"]
    assert found.minis[0].clients == ["0", "3", "7"]
    assert (found.shown, found.total, found.low) == (7, 7, "0.50")
    assert "0.700 in round 1" in found.sentence


def test_many_rounds_are_thinned():
    found = build(RunRecord(rounds=rounds(500)))
    assert found.total == 500
    assert found.shown <= 63


def test_a_method_without_a_graph():
    assert build(RunRecord(rounds=rounds(3, matrix=None))) is None

import math

import pytest

from fedmvp_flwr.server.selection import Selection


def run(scores):
    selection = Selection()
    for number, score in enumerate(scores, start=1):
        selection = selection.update(number, score)
    return selection


def test_the_best_round_is_the_first_with_the_highest_score():
    assert run([0.2, 0.7, 0.5, 0.7]) == Selection(best_round=2, best_score=0.7, since=2)
    assert run([0.0]) == Selection(best_round=1, best_score=0.0)
    assert run([-3.0, -2.0]) == Selection(best_round=2, best_score=-2.0)


def test_nan_is_never_best():
    assert run([math.nan]).best_round == 0
    assert run([0.1, math.nan]) == Selection(best_round=1, best_score=0.1, since=1)


@pytest.mark.parametrize(
    ("scores", "patience", "stop"),
    [
        ([0.5, 0.4], 1, True),
        ([0.5, 0.4], 2, False),
        ([0.5, 0.4, 0.5], 2, True),
        ([0.5, 0.4, 0.6], 2, False),
        ([0.5, 0.4, 0.3, 0.2], 0, False),
        ([], 1, False),
    ],
)
def test_patience_counts_evaluations_without_a_better_one(scores, patience, stop):
    assert run(scores).exhausted(patience) is stop


@pytest.mark.parametrize("scores", [[], [0.1 + 0.2, 0.1]])
def test_it_survives_json(scores):
    selection = run(scores)
    assert Selection.model_validate_json(selection.model_dump_json()) == selection

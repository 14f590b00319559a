import pytest

from fedmvp_flwr.aggregation.weights import client_weights, distance_to_uniform

EXAMPLES = [10, 30, 60]
IMPORTANCE = [0.2, 0.3, 0.5]


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("importance", [0.2, 0.3, 0.5]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("examples", [0.1, 0.3, 0.6]),
        ("importance-examples", [2 / 41, 9 / 41, 30 / 41]),
    ],
)
def test_each_weighting(weighting, expected):
    weights = client_weights(weighting, EXAMPLES, IMPORTANCE)
    assert weights == pytest.approx(expected)
    assert sum(weights) == pytest.approx(1.0)


@pytest.mark.parametrize("weighting", ["uniform", "examples"])
def test_importance_is_needed_only_where_it_counts(weighting):
    assert client_weights(weighting, EXAMPLES) == client_weights(weighting, EXAMPLES, IMPORTANCE)


def test_importance_need_not_sum_to_1():
    assert client_weights("importance", [1, 1], [3.0, 1.0]) == [0.75, 0.25]


@pytest.mark.parametrize("weighting", ["importance", "importance-examples"])
def test_no_importance_at_all_is_uniform(weighting):
    assert client_weights(weighting, [1, 9], [0.0, 0.0]) == [0.5, 0.5]


def test_a_client_of_no_importance_has_no_weight():
    assert client_weights("importance-examples", [5, 5, 5], [0.0, 1.0, 1.0]) == [0.0, 0.5, 0.5]


def test_absurd_numbers_of_examples_do_not_overflow():
    weights = client_weights("examples", [1e308, 1e308, 1e308])
    assert weights == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("weighting", ["importance", "importance-examples"])
def test_importance_that_is_needed_and_missing_is_refused(weighting):
    with pytest.raises(ValueError, match="needs the importance of every client"):
        client_weights(weighting, [1, 1])


def test_an_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="'examlpes'"):
        client_weights("examlpes", [1, 1])


def test_distance_to_uniform():
    assert distance_to_uniform([0.25] * 4) == 0.0
    assert distance_to_uniform([1.0, 0.0]) == 0.5
    assert distance_to_uniform([0.5, 0.3, 0.2]) == pytest.approx(1 / 6)

import pytest

from fedmvp_flwr import RoundOptions
from fedmvp_flwr.aggregation.options import is_evaluated


@pytest.mark.parametrize("arguments", [{"min_replies": 0}, {"round_retries": -1}])
def test_impossible_numbers_are_refused(arguments):
    with pytest.raises(ValueError, match="min_replies must be at least 1"):
        RoundOptions(**arguments)


@pytest.mark.parametrize(("every", "rounds"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_rounds_that_are_evaluated(every, rounds):
    assert [r for r in range(1, 6) if is_evaluated(r, every, last_round=5)] == rounds

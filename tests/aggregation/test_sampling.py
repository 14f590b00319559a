import pytest

from fedmvp_flwr.aggregation.sampling import sample

NODES = [40, 10, 30, 20, 50]


@pytest.mark.parametrize(
    ("fraction", "minimum", "size"), [(0.5, 0, 2), (0.1, 2, 2), (0.0, 9, 5), (1.0, 0, 5)]
)
def test_how_many(fraction, minimum, size):
    chosen = sample(NODES, fraction, minimum, 0, "train", 1)
    assert len(chosen) == size
    assert chosen == [node for node in NODES if node in chosen]


def test_each_purpose_and_round_and_attempt_has_its_own_choice():
    parts = [("train", r) for r in range(9)] + [("train", 0, "attempt", 1), ("evaluate", 0)]
    choices = [sample(range(100), 0.1, 1, 0, *names) for names in parts]
    assert len({tuple(choice) for choice in choices}) == len(parts)
    assert sample(range(100), 0.1, 1, 0, *parts[0]) == choices[0]


def test_nobody_to_choose_from():
    assert sample([], 1.0, 2, 0, "train", 1) == []

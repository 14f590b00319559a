import math

import pytest

from fedmvp_flwr.reporting.spread import weight_spread


def test_equal_weights_have_no_distance():
    spread = weight_spread([4, 7], [0.5, 0.5])
    assert spread.distance == 0
    assert spread.ratio == 1


def test_known_spread():
    spread = weight_spread([4, 7, 9], [0.2, 0.5, 0.3])
    assert (spread.smallest, spread.smallest_client) == (pytest.approx(0.2), 4)
    assert (spread.largest, spread.largest_client) == (pytest.approx(0.5), 7)
    assert spread.ratio == pytest.approx(2.5)
    assert spread.distance == pytest.approx(0.5 - 1 / 3)


def test_scale_of_the_weights_does_not_matter():
    assert weight_spread([0, 1, 2], [1, 2, 1]) == weight_spread([0, 1, 2], [0.25, 0.5, 0.25])


def test_a_weight_of_zero_has_an_infinite_ratio():
    assert math.isinf(weight_spread([0, 1], [0.0, 1.0]).ratio)


@pytest.mark.parametrize(
    ("clients", "weights"), [([], []), ([0], [0.0]), ([0, 1], [1.0]), ([0], [math.nan])]
)
def test_weights_that_cannot_be_shares_are_refused(clients, weights):
    with pytest.raises(ValueError, match="positive sum"):
        weight_spread(clients, weights)

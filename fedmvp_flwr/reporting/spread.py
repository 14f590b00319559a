"""How far the weights of a round are from equal ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedmvp_flwr.aggregation.weights import distance_to_uniform


@dataclass(frozen=True)
class WeightSpread:
    """Spread of the clients' weights in one round.

    Attributes:
        smallest: the smallest weight.
        smallest_client: who has it.
        largest: the largest weight.
        largest_client: who has it.
        ratio: largest by smallest; infinite where the smallest is 0.
        distance: total variation distance to equal weights, in [0, 1): the share of the whole
            weight that would have to move from one client to another to make all equal.
    """

    smallest: float
    smallest_client: int
    largest: float
    largest_client: int
    ratio: float
    distance: float


def weight_spread(clients: Sequence[int], weights: Sequence[float]) -> WeightSpread:
    """Spread of K >= 1 weights that sum to a positive number.

    Raises:
        ValueError: no weight, another number of weights than clients, or a sum that is not
            positive and finite.
    """
    total = math.fsum(weights)
    if not weights or len(clients) != len(weights) or not 0 < total < math.inf:
        raise ValueError(f"expected one weight per client, with a positive sum: {list(weights)}.")
    shares = [weight / total for weight in weights]
    low, high = min(shares), max(shares)
    return WeightSpread(
        smallest=low,
        smallest_client=clients[shares.index(low)],
        largest=high,
        largest_client=clients[shares.index(high)],
        ratio=high / low if low > 0 else math.inf,
        distance=distance_to_uniform(shares),
    )

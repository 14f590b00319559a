"""From the clients' importance and sizes to their weights in the average."""

from collections.abc import Sequence
from typing import Literal, get_args

Weighting = Literal["importance", "uniform", "examples", "importance-examples"]

GRAPH_WEIGHTINGS: tuple[Weighting, ...] = ("importance", "importance-examples")
"""Those that need the similarity graph of the clients."""


def client_weights(
    weighting: Weighting,
    num_examples: Sequence[float],
    importance: Sequence[float] | None = None,
) -> list[float]:
    """Weights of the clients of one round.

    Args:
        weighting: `importance` (the paper's graph), `uniform`, `examples` (FedAvg) or
            `importance-examples` (their product).
        num_examples: positive number of training examples of each client.
        importance: graph importance of each client, not negative, for the weightings that use it.

    Returns:
        Non-negative weights that sum to 1, in the order of the clients. Where all products are
        zero the weights are uniform.

    Raises:
        ValueError: an unknown weighting, or importance that it needs is missing.
    """
    if weighting not in get_args(Weighting):
        raise ValueError(f"weighting must be one of {get_args(Weighting)}, got {weighting!r}.")
    weights = [1.0] * len(num_examples)
    if weighting in GRAPH_WEIGHTINGS:
        if importance is None:
            raise ValueError(f"weighting {weighting!r} needs the importance of every client.")
        weights = [float(s) for s in importance]
    if weighting in ("examples", "importance-examples"):
        weights = [w * n for w, n in zip(weights, num_examples, strict=True)]
    largest = max(weights)
    if largest == 0:
        return [1.0 / len(weights)] * len(weights)
    scaled = [w / largest for w in weights]  # no overflow of the sum, whatever a client claims
    return [w / sum(scaled) for w in scaled]


def distance_to_uniform(weights: Sequence[float]) -> float:
    """Total variation distance in [0, 1) between the weights and the uniform ones."""
    return sum(abs(w - 1.0 / len(weights)) for w in weights) / 2

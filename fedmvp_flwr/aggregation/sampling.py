"""Which clients are chosen: by their order and a seed alone."""

from collections.abc import Sequence
from logging import INFO

from flwr.common.logger import log

from fedmvp_flwr.base.seeds import numpy_generator


def sample(
    nodes: Sequence[int], fraction: float, minimum: int, seed: int, purpose: str, *parts: str | int
) -> list[int]:
    """Choose some of the nodes, in their order.

    Args:
        nodes: node ids, ordered by the keys of their clients.
        fraction: share to choose.
        minimum: choose so many at least, if there are so many.
        seed: of the run.
        purpose: what they are chosen for; it is in the log.
        parts: round and whatever else tells one choice from another.
    """
    size = min(max(int(len(nodes) * fraction), minimum), len(nodes))
    generator = numpy_generator(seed, "sampling", purpose, *parts)
    chosen = sorted(generator.choice(len(nodes), size=size, replace=False).tolist())
    log(INFO, "%s: chose %d of %d clients.", purpose, size, len(nodes))
    return [nodes[index] for index in chosen]

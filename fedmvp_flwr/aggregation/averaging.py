"""The weighted average of the clients' arrays."""

from collections.abc import Sequence

import torch
from flwr.app import ArrayRecord

from fedmvp_flwr.aggregation.replies import Reply
from fedmvp_flwr.aggregation.wire import as_received


def weighted_average(
    replies: Sequence[Reply], weights: Sequence[float], reference: ArrayRecord
) -> ArrayRecord:
    """Average the arrays of clients in float64, in the order given.

    Args:
        replies: valid replies (same names and shapes).
        weights: one per reply, summing to 1.
        reference: the global arrays, whose names, order and types the average takes.

    Returns:
        The average; integer arrays are rounded.
    """
    averaged = {}
    for name, array in reference.items():
        total = sum(
            weight * reply.tensors[name].double()
            for reply, weight in zip(replies, weights, strict=True)
        )
        averaged[name] = as_received(array, torch.as_tensor(total))
    return ArrayRecord(averaged)

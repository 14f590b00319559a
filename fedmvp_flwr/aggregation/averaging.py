"""The weighted average of the clients' arrays, and what no global model may hold."""

from collections.abc import Sequence

import torch
from flwr.app import ArrayRecord

from fedmvp_flwr.aggregation.replies import Reply
from fedmvp_flwr.aggregation.wire import as_received, unpack
from fedmvp_flwr.base.errors import RoundError


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


def require_finite(arrays: ArrayRecord, what: str) -> None:
    """Refuse arrays that would poison every later round and the checkpoint.

    Args:
        arrays: what is to be the global model.
        what: names them in the message.

    Raises:
        RoundError: a value is not finite.
    """
    for name, tensor in unpack(arrays).items():
        if not torch.isfinite(tensor).all():
            raise RoundError(
                f"{what} has values that are not finite in array '{name}'. It becomes no global "
                "model: the checkpoint of the round before stays the last one."
            )

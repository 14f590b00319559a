"""Which replies of a round may enter the average, and why the others may not."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from flwr.app import ArrayRecord, Message
from torch import Tensor

from fedmvp_flwr.aggregation.wire import unpack


@dataclass(frozen=True)
class Reply:
    """A reply that passed every check.

    Attributes:
        client: the client's key (its partition-id, where it told one).
        message: the message itself.
        record: its arrays as received.
        tensors: its arrays, floating-point ones as float32.
        num_examples: positive number of examples it was trained on.
    """

    client: int
    message: Message
    record: ArrayRecord
    tensors: dict[str, Tensor]
    num_examples: float


@dataclass(frozen=True)
class Rejection:
    """A reply that was left out, and the reason in words."""

    client: int
    reason: str


def check_replies(
    replies: Iterable[tuple[int, Message]],
    reference: ArrayRecord,
    weighted_by_key: str,
) -> tuple[list[Reply], list[Rejection]]:
    """Sort the replies of a round into valid and rejected ones, each ordered by client.

    A reply is valid if it carries no error, exactly one record of arrays with the names, shapes
    and kinds of the global model and finite values, and exactly one record of metrics with a
    positive weight and the names that most replies carry.

    Args:
        replies: (client key, message) of each reply, in any order.
        reference: the global arrays that were sent.
        weighted_by_key: name of the metric that holds the number of examples.
    """
    expected = {
        name: (tuple(tensor.shape), tensor.is_floating_point())
        for name, tensor in unpack(reference).items()
    }
    accepted: list[Reply] = []
    rejected: list[Rejection] = []
    for client, message in sorted(replies, key=lambda item: item[0]):
        try:
            accepted.append(_check(client, message, expected, weighted_by_key))
        except ValueError as error:
            rejected.append(Rejection(client, str(error)))
    usual = Counter(_metric_names(reply) for reply in accepted).most_common(1)
    for reply in list(accepted):
        if _metric_names(reply) != usual[0][0]:
            accepted.remove(reply)
            names = ", ".join(sorted(_metric_names(reply)))
            rejected.append(Rejection(reply.client, f"other metrics than the others: {names}"))
    return accepted, sorted(rejected, key=lambda item: item.client)


def _check(
    client: int,
    message: Message,
    expected: dict[str, tuple[tuple[int, ...], bool]],
    weighted_by_key: str,
) -> Reply:
    if message.has_error():
        raise ValueError(f"it failed: {message.error.reason} (code {message.error.code})")
    arrays = list(message.content.array_records.values())
    metrics = list(message.content.metric_records.values())
    if len(arrays) != 1 or len(metrics) != 1:
        raise ValueError(
            f"expected one ArrayRecord and one MetricRecord, got {len(arrays)} and {len(metrics)}"
        )
    record, metric = arrays[0], metrics[0]
    missing, extra = expected.keys() - record.keys(), record.keys() - expected.keys()
    if missing or extra:
        raise ValueError(f"missing arrays {sorted(missing)}, unknown arrays {sorted(extra)}")
    for name, array in record.items():  # before reading: the shape is claimed, the bytes are not
        if tuple(array.shape) != expected[name][0]:
            raise ValueError(
                f"array '{name}' has shape {tuple(array.shape)}, expected {expected[name][0]}"
            )
    tensors = unpack(record)
    for name, tensor in tensors.items():
        shape, is_float = expected[name]
        if tuple(tensor.shape) != shape or tensor.is_floating_point() != is_float:
            raise ValueError(
                f"array '{name}' is {tensor.dtype} {tuple(tensor.shape)}, expected "
                f"{'floating-point' if is_float else 'integer'} {shape}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"array '{name}' has values that are not finite")
    weight = metric.get(weighted_by_key)
    if not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ValueError(f"metric '{weighted_by_key}' must be positive, got {weight}")
    return Reply(client, message, record, tensors, float(weight))


def _metric_names(reply: Reply) -> frozenset[str]:
    return frozenset(
        name for record in reply.message.content.metric_records.values() for name in record
    )

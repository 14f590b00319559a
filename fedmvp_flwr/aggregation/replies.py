"""Which replies of a round may enter the average, and why the others may not."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from flwr.app import ArrayRecord, Message
from torch import Tensor

from fedmvp_flwr.aggregation.parcel import unpacked_bytes, unwrap
from fedmvp_flwr.aggregation.wire import unpack

_T = TypeVar("_T")
_WIDEST = 4  # times the bytes of the global arrays: a reply may be in a wider type


@dataclass(frozen=True)
class Reply:
    """A reply that passed every check.

    Attributes:
        client: the client's key (its partition-id, where it told one).
        message: the message itself.
        record: its arrays as received, out of their parcel.
        bytes: of its arrays on the wire.
        tensors: its arrays, floating-point ones as float32.
        num_examples: positive number of examples it was trained on.
    """

    client: int
    message: Message
    record: ArrayRecord
    bytes: int
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

    A reply is valid if it carries no error, exactly one record of arrays (as they are or in a
    parcel) with the names, shapes and kinds of the global model and finite values, and exactly one
    record of finite metrics with a positive weight and the names and lengths that most replies
    carry.

    Args:
        replies: (client key, message) of each reply, in any order.
        reference: the global arrays that were sent.
        weighted_by_key: name of the metric that holds the number of examples.
    """
    expected = {
        name: (tuple(tensor.shape), _kind(tensor)) for name, tensor in unpack(reference).items()
    }
    most = _WIDEST * unpacked_bytes(reference)
    return _sort(
        replies,
        lambda client, message: _check(client, message, expected, weighted_by_key, most),
        lambda reply: (reply.client, reply.message),
    )


def check_evaluations(
    replies: Iterable[tuple[int, Message]], weighted_by_key: str
) -> tuple[list[Message], list[Rejection]]:
    """Sort the replies of an evaluation into valid and rejected ones, each ordered by client.

    A reply is valid if it carries no error and exactly one record of metrics as in
    `check_replies`.

    Args:
        replies: (client key, message) of each reply, in any order.
        weighted_by_key: name of the metric that holds the number of examples.
    """

    def check(client: int, message: Message) -> tuple[int, Message]:
        _check_metrics(message, weighted_by_key)
        return client, message

    valid, rejected = _sort(replies, check, lambda item: item)
    return [message for _, message in valid], rejected


def _sort(
    replies: Iterable[tuple[int, Message]],
    check: Callable[[int, Message], _T],
    parts: Callable[[_T], tuple[int, Message]],
) -> tuple[list[_T], list[Rejection]]:
    accepted: list[_T] = []
    rejected: list[Rejection] = []
    for client, message in sorted(replies, key=lambda item: item[0]):
        try:
            accepted.append(check(client, message))
        except ValueError as error:
            rejected.append(Rejection(client, str(error)))
    usual = Counter(_metric_names(parts(item)[1]) for item in accepted).most_common(1)
    kept: list[_T] = []
    for item in accepted:
        client, message = parts(item)
        names = _metric_names(message)
        if names == usual[0][0]:
            kept.append(item)
        else:
            said = ", ".join(sorted(names))
            rejected.append(Rejection(client, f"other metrics than the others: {said}"))
    return kept, sorted(rejected, key=lambda item: item.client)


def _check(
    client: int,
    message: Message,
    expected: dict[str, tuple[tuple[int, ...], str]],
    weighted_by_key: str,
    most: int,
) -> Reply:
    weight = _check_metrics(message, weighted_by_key)
    arrays = list(message.content.array_records.values())
    if len(arrays) != 1:
        raise ValueError(f"expected one ArrayRecord, got {len(arrays)}")
    record = unwrap(arrays[0], most)
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
        shape, kind = expected[name]
        if tuple(tensor.shape) != shape or _kind(tensor) != kind:
            raise ValueError(
                f"array '{name}' is {tensor.dtype} {tuple(tensor.shape)}, expected {kind} {shape}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"array '{name}' has values that are not finite")
    return Reply(client, message, record, arrays[0].count_bytes(), tensors, weight)


def _check_metrics(message: Message, weighted_by_key: str) -> float:
    if message.has_error():
        raise ValueError(f"it failed: {message.error.reason} (code {message.error.code})")
    records = list(message.content.metric_records.values())
    if len(records) != 1:
        raise ValueError(f"expected one MetricRecord, got {len(records)}")
    for name, value in records[0].items():
        if not all(math.isfinite(v) for v in (value if isinstance(value, list) else [value])):
            raise ValueError(f"metric '{name}' is not finite")
    weight = records[0].get(weighted_by_key)
    if not isinstance(weight, int | float) or not weight > 0:
        raise ValueError(f"metric '{weighted_by_key}' must be positive, got {weight}")
    return float(weight)


def _metric_names(message: Message) -> frozenset[str]:
    """Names of the metrics; of a list, with its length."""
    return frozenset(
        f"{name}[{len(value)}]" if isinstance(value, list) else name
        for record in message.content.metric_records.values()
        for name, value in record.items()
    )


def _kind(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        return "floating-point"
    return "complex" if tensor.is_complex() else "integer"

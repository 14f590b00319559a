"""Which replies of a round may enter the average, and why the others may not."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from flwr.app import ArrayRecord, Message
from torch import Tensor

from fedmvp_flwr.aggregation.compression import unpacked_bytes, unwrap
from fedmvp_flwr.aggregation.reply_metrics import MetricCheck, disagreements, weight_of
from fedmvp_flwr.aggregation.wire import fits, read, unpack

_T = TypeVar("_T")
_WIDEST = 4  # times the bytes of the global arrays: a reply may be in a wider type
_LONGEST = 500  # characters of a reason; what a client sends is not trusted


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
    metric_check: MetricCheck,
) -> tuple[list[Reply], list[Rejection]]:
    """Sort the replies of a round into valid and rejected ones, each ordered by client.

    A reply is valid if it carries no error, exactly one record of arrays (as they are or in a
    parcel) with the names, shapes and kinds of the global model and values that are finite in its
    types, and exactly one record of finite metrics with a positive weight that can be averaged with
    those of the others (see `disagreements`). Whatever the check of a reply raises rejects that
    reply alone.

    Args:
        replies: (client key, message) of each reply, in any order.
        reference: the global arrays that were sent.
        weighted_by_key: name of the metric that holds the number of examples.
        metric_check: looks at the metrics first, so that replies which it refuses, or fails at,
            have no say in what is usual.
    """
    expected = {
        name: (tuple(array.shape), read(name, array).dtype) for name, array in reference.items()
    }
    most = _WIDEST * unpacked_bytes(reference)

    def check(client: int, message: Message) -> Reply:
        weight = weight_of(client, message, weighted_by_key, metric_check)
        return _check(client, message, expected, weight, most)

    return _sort(replies, check)


def check_evaluations(
    replies: Iterable[tuple[int, Message]], weighted_by_key: str, metric_check: MetricCheck
) -> tuple[list[Message], list[Rejection]]:
    """Sort the replies of an evaluation into valid and rejected ones, each ordered by client.

    A reply is valid if it carries no error and exactly one record of metrics as in
    `check_replies`, whose arguments these are.
    """

    def check(client: int, message: Message) -> Message:
        weight_of(client, message, weighted_by_key, metric_check)
        return message

    return _sort(replies, check)


def _sort(
    replies: Iterable[tuple[int, Message]], check: Callable[[int, Message], _T]
) -> tuple[list[_T], list[Rejection]]:
    accepted: list[tuple[int, Message, _T]] = []
    rejected: list[Rejection] = []
    for client, message in sorted(replies, key=lambda item: item[0]):
        try:
            accepted.append((client, message, check(client, message)))
        except Exception as error:  # whatever the bytes of anyone lead a library to
            rejected.append(Rejection(client, _reason(error)))
    kept: list[_T] = []
    reasons = disagreements([message for _, message, _ in accepted])
    for (client, _, item), reason in zip(accepted, reasons, strict=True):
        if reason is None:
            kept.append(item)
        else:
            rejected.append(Rejection(client, reason[:_LONGEST]))
    return kept, sorted(rejected, key=lambda item: item.client)


def _check(
    client: int,
    message: Message,
    expected: dict[str, tuple[tuple[int, ...], torch.dtype]],
    weight: float,
    most: int,
) -> Reply:
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
        shape, dtype = expected[name]
        if tuple(tensor.shape) != shape or _kind(tensor.dtype) != _kind(dtype):
            raise ValueError(
                f"array '{name}' is {tensor.dtype} {tuple(tensor.shape)}, expected "
                f"{_kind(dtype)} {shape}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"array '{name}' has values that are not finite")
        if not fits(tensor, dtype):
            raise ValueError(
                f"array '{name}' has values too large for {dtype}, the type of the global arrays"
            )
    return Reply(client, message, record, arrays[0].count_bytes(), tensors, weight)


def _reason(error: Exception) -> str:
    """An error in words, of a length that fits a log."""
    told = type(error) is ValueError  # raised here, in words of its own
    text = str(error) if told else f"{type(error).__name__}: {error}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "floating-point"
    return "complex" if dtype.is_complex else "integer"

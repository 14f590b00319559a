"""The metrics of replies: whether each can be used, and whether they can be averaged together."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from logging import ERROR

from flwr.app import Message, MetricRecord, RecordDict
from flwr.common.logger import log

MetricCheck = Callable[[int, MetricRecord], str | None]
"""From a client's key and the metrics of its reply to why it is rejected, or None."""

MetricsAverage = Callable[[list[RecordDict], str], MetricRecord]
"""From what the replies contain and the name of their weight to the averaged metrics."""

_MOST = 2**53  # beyond it float64 does not tell one count from the next
_Name = tuple[str, int | None]
"""A metric's name; of a list, with its length."""


def weight_of(client: int, message: Message, weighted_by_key: str, check: MetricCheck) -> float:
    """The number of examples that a reply names.

    Raises:
        ValueError: the reply carries an error, not exactly one record of metrics, one that the
            check refuses, a metric that is not finite, or no number of examples above 0 and below
            2^53.
    """
    if message.has_error():
        raise ValueError(f"it failed: {message.error.reason} (code {message.error.code})")
    records = list(message.content.metric_records.values())
    if len(records) != 1:
        raise ValueError(f"expected one MetricRecord, got {len(records)}")
    refused = check(client, records[0])
    if refused is not None:
        raise ValueError(refused)
    for name, value in records[0].items():
        if not all(math.isfinite(v) for v in (value if isinstance(value, list) else [value])):
            raise ValueError(f"metric '{name}' is not finite")
    weight = records[0].get(weighted_by_key)
    if not isinstance(weight, int | float) or not 0 < weight < _MOST:
        raise ValueError(
            f"metric '{weighted_by_key}' must be positive and below 2^53, got {weight}"
        )
    return float(weight)


def disagreements(messages: Sequence[Message]) -> list[str | None]:
    """Why the metrics of replies cannot be averaged with those of the others, in their order.

    What counts are the names, of a list with its length, that most replies carry. Between names
    that equally many carry nobody can tell who is right, and whoever is wrong must not have the
    others rejected: then all these replies stay, and what they do not share is dropped from their
    metrics.

    Args:
        messages: replies with one record of metrics each, which all hold the number of examples.

    Returns:
        Per reply, why it is to be rejected, or None.
    """
    named = [_names(message) for message in messages]
    tally = Counter(named)
    most = max(tally.values(), default=0)
    usual = {names for names, number in tally.items() if number == most}
    shared = frozenset.intersection(*usual) if usual else frozenset()
    reasons: list[str | None] = []
    for message, names in zip(messages, named, strict=True):
        if names in usual:
            _keep(message, shared)
            reasons.append(None)
        else:
            said = ", ".join(sorted(_written(name) for name in names))
            reasons.append(f"other metrics than the others: {said}")
    return reasons


def _names(message: Message) -> frozenset[_Name]:
    return frozenset(
        _name(name, value)
        for record in message.content.metric_records.values()
        for name, value in record.items()
    )


def _name(name: str, value: object) -> _Name:
    return name, len(value) if isinstance(value, list) else None


def _written(name: _Name) -> str:
    return name[0] if name[1] is None else f"{name[0]}[{name[1]}]"


def _keep(message: Message, shared: frozenset[_Name]) -> None:
    for record in message.content.metric_records.values():
        for name in [name for name, value in record.items() if _name(name, value) not in shared]:
            del record[name]


def average_metrics(
    server_round: int, average: MetricsAverage, contents: list[RecordDict], weighted_by_key: str
) -> MetricRecord | None:
    """The averaged metrics; None, which the log explains, if they cannot be averaged.

    A project's own function may stumble over what a client sent; that must not end a run.
    """
    try:
        return average(contents, weighted_by_key)
    except Exception as error:  # of a function from anywhere, over the values of anyone
        log(
            ERROR,
            "Round %d: the metrics of the clients cannot be averaged, so that it has none: %s: %s.",
            server_round,
            type(error).__name__,
            error,
        )
        return None

"""The clients' scores on their way to the server: checked, then one average per condition.

A client may own no sample for a condition (no image at all, say), so that each condition has its
own number of samples to be weighted by.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields

from flwr.app import MetricRecord, RecordDict

from fedmvp_flwr.model.evaluation import Conditions, NestedScores, flatten_scores
from fedmvp_flwr.model.training import LossParts

MEASURES = ("accuracy", "macro-f1")
CONDITIONS = ("complete", "image-only", "text-only", "unseen-image", "unseen-text", "given")
EXAMPLES = "num-examples"
_SHOWN = 3  # names in a reason
_COUNT = "count"
_COMPLETED = "-with-completion"


def client_metrics(scores: NestedScores, conditions: Conditions) -> dict[str, float]:
    """A client's scores as flat metrics that have the same names at every client.

    Flower averages metrics of one and the same names only, and a client may lack samples for a
    condition: it says 0 then, with a count of 0 (see `average_client_metrics`).
    """
    flat = flatten_scores(scores)
    metrics = {}
    for sets, suffix in ((conditions.plain, ""), (conditions.completed, _COMPLETED)):
        for name in CONDITIONS:
            for measure in MEASURES:
                key = f"{measure}{suffix}.{name}"
                metrics[key] = flat.get(key, 0.0)
            batch = sets.get(name)
            metrics[f"{_COUNT}{suffix}.{name}"] = 0.0 if batch is None else float(len(batch))
    return metrics


def wrong_scores(metrics: MetricRecord, most: float | None) -> str | None:
    """Why the metrics of an evaluation cannot be those of `client_metrics`, or None.

    Args:
        metrics: of a reply.
        most: number of samples that the client was admitted with; None: not known.
    """
    counts = {f"{_COUNT}{suffix}.{name}" for suffix in ("", _COMPLETED) for name in CONDITIONS}
    shares = {
        f"{measure}{suffix}.{name}"
        for measure in MEASURES
        for suffix in ("", _COMPLETED)
        for name in CONDITIONS
    }
    problem = _wrong_names(metrics, counts | shares) or _wrong_examples(metrics, most)
    if problem:
        return problem
    examples = _scalar(metrics[EXAMPLES])
    for key in sorted(counts | shares):
        value, limit = metrics[key], examples if key in counts else 1.0
        if isinstance(value, list) or not 0 <= value <= limit:
            return f"metric '{key}' is {value}, expected a number in [0, {limit}]"
        if key in counts and value != int(value):
            return f"metric '{key}' is {value}, expected a whole number"
    return None


def wrong_losses(metrics: MetricRecord, most: float | None) -> str | None:
    """The same for a training: they have to be those of `fedmvp_flwr.model.training.train`."""
    names = {field.name for field in fields(LossParts)}
    return _wrong_names(metrics, names) or _wrong_examples(metrics, most)


def average_client_metrics(contents: Sequence[RecordDict], weighted_by: str) -> MetricRecord:
    """Average the metrics of `client_metrics`, each condition by its number of samples.

    Args:
        contents: one record of metrics each, all with the same names.
        weighted_by: name of the number of all samples, which is left out of the result.

    Returns:
        The averages of the conditions that any client has samples for.
    """
    records = [next(iter(content.metric_records.values())) for content in contents]
    averaged: dict[str, int | float | list[int] | list[float]] = {}
    for key in records[0]:
        measure, _, name = key.partition(".")
        base = measure.removesuffix(_COMPLETED)
        if key == weighted_by or base == _COUNT:
            continue
        suffix = measure.removeprefix(base)
        counts = [_scalar(record[f"{_COUNT}{suffix}.{name}"]) for record in records]
        if sum(counts):
            values = [_scalar(record[key]) for record in records]
            weighted = sum(c * v for c, v in zip(counts, values, strict=True))
            averaged[key] = weighted / sum(counts)
    return MetricRecord(averaged)


def _wrong_names(metrics: MetricRecord, expected: AbstractSet[str]) -> str | None:
    missing = sorted((expected | {EXAMPLES}) - metrics.keys())
    unknown = sorted(metrics.keys() - expected - {EXAMPLES})
    if missing or unknown:
        return f"missing metrics {_few(missing)}, unknown metrics {_few(unknown)}"
    return None


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{names[:_SHOWN]}{f' and {more} more' if more > 0 else ''}"


def _wrong_examples(metrics: MetricRecord, most: float | None) -> str | None:
    claimed = metrics[EXAMPLES]
    if isinstance(claimed, list):
        return f"metric '{EXAMPLES}' is a list, expected a number"
    if most is not None and not claimed <= most:
        return f"it claims {claimed} examples, but was admitted with {most}"
    return None


def _scalar(value: int | float | list[int] | list[float]) -> float:
    if isinstance(value, list):
        raise TypeError(f"expected a number, got {value}.")
    return float(value)

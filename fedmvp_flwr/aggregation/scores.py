"""The clients' scores on their way to the server: one average per condition.

A client may own no sample for a condition (no image at all, say), so that each condition has its
own number of samples to be weighted by.
"""

from collections.abc import Sequence

from flwr.app import MetricRecord, RecordDict

from fedmvp_flwr.evaluation import Conditions, NestedScores, flatten_scores

MEASURES = ("accuracy", "macro-f1")
CONDITIONS = ("complete", "image-only", "text-only", "given")
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


def _scalar(value: int | float | list[int] | list[float]) -> float:
    if isinstance(value, list):
        raise TypeError(f"expected a number, got {value}.")
    return float(value)

"""The clients' scores on their way to the server: checked, then one average per condition.

A client may own no sample for a condition (no image at all, say), so that each condition has its
own number of samples to be weighted by.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields
from typing import Any

from flwr.app import MetricRecord, RecordDict

from fedmvp_flwr.model.evaluation import Conditions, NestedScores, flatten_scores
from fedmvp_flwr.model.training import LossParts

MEASURES = ("accuracy", "macro-f1")
CONDITIONS = ("complete", "image-only", "text-only", "unseen-image", "unseen-text", "given")
EXAMPLES = "num-examples"
_SHOWN = 3  # names in a reason
_SUFFIXES = ("", "-with-completion")
_COUNT_OF = {
    f"{measure}{suffix}.{name}": f"count{suffix}.{name}"
    for suffix in _SUFFIXES
    for name in CONDITIONS
    for measure in MEASURES
}
"""Of each score, the number of samples that it is averaged by."""


def client_metrics(scores: NestedScores, conditions: Conditions) -> dict[str, float]:
    """A client's scores as flat metrics that have the same names at every client.

    Flower averages metrics of one and the same names only, and a client may lack samples for a
    condition: it says 0 then, with a count of 0 (see `average_client_metrics`).
    """
    flat = flatten_scores(scores)
    metrics = {key: flat.get(key, 0.0) for key in _COUNT_OF}
    for sets, suffix in zip((conditions.plain, conditions.completed), _SUFFIXES, strict=True):
        for name in CONDITIONS:
            metrics[f"count{suffix}.{name}"] = float(len(sets[name])) if name in sets else 0.0
    return metrics


def wrong_scores(metrics: Mapping[str, Any], most: float | None) -> str | None:
    """Why the metrics of an evaluation cannot be those of `client_metrics`, or None.

    Args:
        metrics: of a reply.
        most: number of samples that the client was admitted with; None: not known.
    """
    names = {*_COUNT_OF, *_COUNT_OF.values()}
    problem = _wrong_names(metrics, names) or _wrong_examples(metrics, most)
    if problem:
        return problem
    for key in sorted(names):
        value, limit = metrics[key], 1.0 if key in _COUNT_OF else float(metrics[EXAMPLES])
        if isinstance(value, list) or not 0 <= value <= limit:
            return f"metric '{key}' is {value}, expected a number in [0, {limit}]"
        if key not in _COUNT_OF and value != int(value):
            return f"metric '{key}' is {value}, expected a whole number"
    return None


def wrong_losses(metrics: Mapping[str, Any], most: float | None) -> str | None:
    """The same for a training: they have to be those of `fedmvp_flwr.model.training.train`."""
    names = {field.name for field in fields(LossParts)}
    return _wrong_names(metrics, names) or _wrong_examples(metrics, most)


def average_client_metrics(contents: Sequence[RecordDict], weighted_by: str) -> MetricRecord:
    """Average the metrics of `client_metrics`, each condition by its number of samples.

    Args:
        contents: one record of these metrics each.
        weighted_by: name of the number of all samples, which is not what counts here.

    Returns:
        The averages of the conditions that any client has samples for.
    """
    records: list[Mapping[str, Any]] = [
        next(iter(content.metric_records.values())) for content in contents
    ]
    averaged = MetricRecord()
    for key, count in _COUNT_OF.items():
        counts = [float(record[count]) for record in records]
        if sum(counts):
            weighted = sum(c * record[key] for c, record in zip(counts, records, strict=True))
            averaged[key] = weighted / sum(counts)
    return averaged


def _wrong_names(metrics: Mapping[str, Any], expected: AbstractSet[str]) -> str | None:
    missing = sorted((expected | {EXAMPLES}) - metrics.keys())
    unknown = sorted(metrics.keys() - expected - {EXAMPLES})
    if missing or unknown:
        return f"missing metrics {_few(missing)}, unknown metrics {_few(unknown)}"
    return None


def _few(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{names[:_SHOWN]}{f' and {more} more' if more > 0 else ''}"


def _wrong_examples(metrics: Mapping[str, Any], most: float | None) -> str | None:
    claimed = metrics[EXAMPLES]
    if isinstance(claimed, list):
        return f"metric '{EXAMPLES}' is a list, expected a number"
    if most is not None and not claimed <= most:
        return f"it claims {claimed} examples, but was admitted with {most}"
    return None

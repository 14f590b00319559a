"""Holds out complete pairs, completes them anyway, and measures against the truth.

For every pair the text is made from the image and the image from the text, by the very path that
a run takes; the real ones are what the completions are compared with.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.gating import calibrate_threshold, gate
from fedmvp_flwr.completion.pipeline import prepare
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.requests import Request, all_sides
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.quality.agreement import UNKNOWN, cross_fitted_classes
from fedmvp_flwr.quality.distances import class_distances, overall_distances
from fedmvp_flwr.quality.overlap import rouge_l, token_match
from fedmvp_flwr.quality.pairs import SHOWN, Pair, load_pair, made_text

LEAST_PAIRS = 4  # two halves of two, for the distances among real images
_OF_ACCEPTED = ("accepted", "agreement-of-accepted")
GATES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5)  # settings of `quality-gate` that are tried out


@dataclass(frozen=True)
class Quality:
    """What was measured with one set of settings.

    Attributes:
        numbers: JSON values: overall, per class, and per setting of the gate.
        pairs: the first of the held-out pairs, with their completions, to look at; those of the
            first rows.
        rows: JSON values per held-out pair.
    """

    numbers: dict[str, Any]
    pairs: tuple[Pair, ...]
    rows: tuple[dict[str, Any], ...]


def held_out(samples: Sequence[Sample], count: int, seed: int) -> tuple[Sample, ...]:
    """Choose up to `count` complete pairs, the same for the same seed.

    Raises:
        DataError: fewer than 4 samples are complete.
    """
    complete = [sample for sample in samples if sample.complete]
    if min(len(complete), count) < LEAST_PAIRS:
        raise DataError(
            f"Quality needs at least {LEAST_PAIRS} complete pairs to compare with; there are "
            f"{len(complete)}, and {count} are asked for."
        )
    order = torch.randperm(len(complete), generator=torch_generator(seed, "quality"))
    return tuple(complete[place] for place in sorted(order[:count].tolist()))


def measure_quality(
    pairs: Sequence[Sample],
    class_names: Sequence[str],
    completer: Completer,
    store: FeatureStore,
    on_progress: Progress | None = None,
) -> Quality:
    """Complete both sides of complete pairs and measure the completions.

    Args:
        pairs: at least 4 complete samples.
        class_names: in label order; they enter no prompt.
        completer: the way of completion; no pair of its pool is completed by itself.
        store: where completions and features are kept; a run finds them there.
        on_progress: called with (stage, done, total).

    Raises:
        DataError: completion is off, or nothing could be completed.
    """
    settings = completer.settings
    if not completer.completes:
        raise DataError(
            f"completion='{settings.kind}' completes nothing whose quality could be measured."
        )
    request = Request(pairs, all_sides(pairs), completer)
    (prepared,) = prepare([request], store, on_progress)
    if not all(made.present.all() for made in prepared.completed.values()):
        raise DataError(
            "Nothing to take from: retrieval needs complete pairs beside the one to complete."
        )
    texts = (made_text(completer, sample, store) for sample in pairs)
    classes = {
        name: cross_fitted_classes(
            prepared.real.modalities[name].pooled,
            prepared.real.labels,
            prepared.completed[name].pooled,
            len(class_names),
        )
        for name in MODALITIES
    }
    rows = tuple(_rows(pairs, texts, prepared, classes, class_names))
    images = (
        prepared.completed[IMAGE].pooled.float(),
        prepared.real.modalities[IMAGE].pooled.float(),
    )
    similarity = completer.own_measure or "not measured"
    if completer.models.comparable:
        similarity = "image-text cosine"
    numbers = {
        "pairs": len(pairs),
        "completion": settings.kind,
        "prompt-template": settings.prompt_template,
        "similarity": similarity,
        "overall": _summary(rows) | overall_distances(*images, prepared.real.labels),
        "per-class": _per_class(rows, *images),
        "gate": [_gated(prepared, rows, quantile) for quantile in GATES],
        "made": prepared.made,
        "seconds": prepared.seconds,
        "models": completer.models.identities(),
    }
    shown = tuple(load_pair(completer, sample, store) for sample in pairs[:SHOWN])
    return Quality(numbers, shown, rows)


def _rows(
    samples: Sequence[Sample],
    texts: Iterable[str | None],
    prepared: PreparedSet,
    classes: dict[str, tuple[Tensor, Tensor]],
    class_names: Sequence[str],
) -> list[dict[str, Any]]:
    real, completed = prepared.real.modalities, prepared.completed
    alike = torch.cosine_similarity(
        completed[IMAGE].pooled.float(), real[IMAGE].pooled.float(), dim=1
    )
    rows = []
    for row, (sample, text) in enumerate(zip(samples, texts, strict=True)):
        label = sample.label
        rows.append(
            {
                "key": sample.key,
                "class": class_names[label],
                "true-similarity": _number(prepared.pair_similarity[row]),
                "image-similarity": _number(prepared.similarity[IMAGE][row]),
                "text-similarity": _number(prepared.similarity[TEXT][row]),
                "image-to-true-image": float(alike[row]),
                "rouge-l": rouge_l(text or "", sample.text or ""),
                "token-match": token_match(
                    completed[TEXT].tokens[row][completed[TEXT].mask[row]],
                    real[TEXT].tokens[row][real[TEXT].mask[row]],
                ),
            }
        )
        for name, (true, made) in classes.items():
            rows[-1][f"true-{name}-agrees"] = _agrees(true[row], label)
            rows[-1][f"{name}-agrees"] = _agrees(made[row], label)
    return rows


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean of every measure over the rows, None where no row has it."""
    names = [name for name in rows[0] if name not in ("key", "class")]
    means: dict[str, Any] = {"pairs": len(rows)}
    for name in names:
        values = [float(row[name]) for row in rows if row[name] is not None]
        means[name] = sum(values) / len(values) if values else None
    return means


def _per_class(
    rows: Sequence[dict[str, Any]], made: Tensor, real: Tensor
) -> dict[str, dict[str, Any]]:
    """By class the means of its rows, and the distance of its made (N, D) to its true images."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["class"], []).append(place)
    return {
        name: _summary([rows[place] for place in own]) | class_distances(made[own], real[own])
        for name, own in sorted(places.items())
    }


def _gated(
    prepared: PreparedSet, rows: Sequence[dict[str, Any]], quantile: float
) -> dict[str, Any]:
    """What a gate at this quantile of the real pairs would let through, and how good that is."""
    result: dict[str, Any] = {"quality-gate": quantile, "threshold": None}
    if quantile and bool(prepared.pair_similarity.isnan().all()):  # nothing to measure with
        keys = [f"{name}-{what}" for name in MODALITIES for what in _OF_ACCEPTED]
        return result | dict.fromkeys(keys)
    threshold = calibrate_threshold(prepared.pair_similarity, quantile)
    result["threshold"] = threshold
    for name in MODALITIES:
        values = prepared.similarity[name]
        passed = gate(values, threshold) if quantile else torch.ones(len(rows), dtype=torch.bool)
        kept = [row for row, flag in zip(rows, passed.tolist(), strict=True) if flag]
        result[f"{name}-accepted"] = len(kept) / len(rows)
        agrees = [row[f"{name}-agrees"] for row in kept if row[f"{name}-agrees"] is not None]
        result[f"{name}-agreement-of-accepted"] = sum(agrees) / len(agrees) if agrees else None
    return result


def _agrees(predicted: Tensor, label: int) -> bool | None:
    return None if int(predicted) == UNKNOWN else int(predicted) == label


def _number(value: Tensor) -> float | None:
    return None if bool(value.isnan()) else float(value)

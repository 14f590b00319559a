"""Evaluation: one loop for every method and data set, under every condition of missingness."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.model.network import FedMVPNetwork

NestedScores = dict[str, dict[str, float]]
_EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Conditions:
    """One test set under every condition of missingness.

    Attributes:
        plain: without completion: `complete`, `image-only`, `text-only`, and `given`, the samples
            as they are, where some lack a modality.
        completed: the same but `complete`, with what is missing completed.
    """

    plain: dict[str, Batch]
    completed: dict[str, Batch]


def classification_scores(predicted: Tensor, labels: Tensor, num_classes: int) -> dict[str, float]:
    """Scores in [0, 1] of (N,) predicted and true class indices, N >= 1.

    Returns:
        `accuracy`, the share of the samples classified right, and `macro-f1`, the mean over the
        classes, that occur in truth or prediction, of their F1.
    """
    confusion = torch.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes).double()
    hits = confusion.diag()
    occurrences = confusion.sum(dim=0) + confusion.sum(dim=1)
    occurs = occurrences > 0
    f1 = 2 * hits[occurs] / occurrences[occurs]
    return {"accuracy": float(hits.sum() / len(labels)), "macro-f1": float(f1.mean())}


@torch.inference_mode()
def predicted_classes(network: FedMVPNetwork, batch: Batch) -> Tensor:
    """Class index (N,) that the network finds most likely for each of N >= 1 samples."""
    device = next(network.parameters()).device
    network.eval()
    return torch.cat(
        [
            network.predict(batch.select(index).trim().to(device)).argmax(dim=1).cpu()
            for index in torch.arange(len(batch)).split(_EVALUATION_BATCH)
        ]
    )


def evaluate(network: FedMVPNetwork, batch: Batch) -> dict[str, float]:
    """Scores of the network on a test set of N >= 1 samples."""
    predicted = predicted_classes(network, batch)
    return classification_scores(predicted, batch.labels, network.num_classes)


def only(batch: Batch, modality: str) -> Batch:
    """The same samples with every other modality hidden."""
    everywhere = torch.ones(len(batch), dtype=torch.bool)
    return batch.hide({name: everywhere for name in batch.modalities if name != modality})


def evaluate_conditions(network: FedMVPNetwork, conditions: Conditions) -> NestedScores:
    """Scores of one test set under every condition, keyed as in `result.json`.

    Returns:
        `accuracy` and `macro-f1` by condition; the same `-with-completion`, where there is any. A
        condition that no sample meets is left out.
    """
    scores: NestedScores = {}
    for sets, suffix in ((conditions.plain, ""), (conditions.completed, "-with-completion")):
        for name, batch in sets.items():
            if not len(batch):  # nobody has that modality
                continue
            for measure, value in evaluate(network, batch).items():
                scores.setdefault(f"{measure}{suffix}", {})[name] = value
    return scores


def flatten_scores(scores: NestedScores) -> dict[str, float]:
    """Flat `measure.condition` keys, as Flower's MetricRecord wants them."""
    return {f"{m}.{name}": value for m, values in scores.items() for name, value in values.items()}


def unflatten_scores(metrics: Mapping[str, object]) -> NestedScores:
    """The inverse of `flatten_scores`; other keys are left out."""
    scores: NestedScores = {}
    for key, value in metrics.items():
        measure, dot, name = key.partition(".")
        if dot and isinstance(value, int | float):
            scores.setdefault(measure, {})[name] = float(value)
    return scores

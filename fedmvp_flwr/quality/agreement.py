"""Whether a completion shows the class of its sample: a linear probe on frozen features."""

import torch
from torch import Tensor

_RIDGE = 0.1  # of the mean squared length of the centred features
_FOLDS = 5
UNKNOWN = -1  # the class of a sample that is the only one of its class


def fit_probe(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Fit a ridge regression to one-hot labels; return weights (D + 1, C), the bias last.

    Args:
        features: (N, D), N >= 1.
        labels: (N,) class indices.
        num_classes: C.
    """
    features = features.double()
    targets = torch.nn.functional.one_hot(labels, num_classes).double()
    centre, level = features.mean(dim=0), targets.mean(dim=0)
    centred = features - centre
    kernel = centred @ centred.T  # (N, N): N is small, D may be large
    strength = _RIDGE * kernel.diagonal().mean().clamp_min(1e-12)
    solved = torch.linalg.solve(
        kernel + strength * torch.eye(len(kernel), dtype=kernel.dtype), targets - level
    )
    weights = centred.T @ solved
    return torch.cat([weights, (level - centre @ weights)[None]])


def apply_probe(weights: Tensor, features: Tensor) -> Tensor:
    """Predict classes (N,) of features (N, D) with the weights of `fit_probe`."""
    return (features.double() @ weights[:-1] + weights[-1]).argmax(dim=1)


def by_class(labels: Tensor, parts: int) -> Tensor:
    """Deal samples to parts so that each class is spread over as many as it can be.

    Args:
        labels: (N,) class indices, in any order.
        parts: at least 1.

    Returns:
        The part (N,) of each sample, in [0, parts).
    """
    dealt = torch.empty(len(labels), dtype=torch.int64)
    dealt[labels.argsort(stable=True)] = torch.arange(len(labels)) % parts
    return dealt


def cross_fitted_classes(
    real: Tensor, labels: Tensor, others: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Classes of real features and of what stands for them, by a probe that saw neither.

    Args:
        real: (N, D) features of real samples, N >= 2.
        labels: (N,) their classes.
        others: (N, D) features of the completion of each.
        num_classes: C.

    Returns:
        Predicted classes (N,) of `real` and of `others`; row i from a probe fitted on the real
        features of the other folds. `UNKNOWN` where no other sample has the class.
    """
    folds = by_class(labels, min(_FOLDS, len(real)))
    predicted = torch.zeros(2, len(real), dtype=torch.int64)
    for fold in folds.unique():
        held = folds == fold
        weights = fit_probe(real[~held], labels[~held], num_classes)
        predicted[0, held] = apply_probe(weights, real[held])
        predicted[1, held] = apply_probe(weights, others[held])
    alone = torch.bincount(labels, minlength=num_classes)[labels] == 1
    predicted[:, alone] = UNKNOWN
    return predicted[0], predicted[1]

"""The quality gate: a completion must fit its sample as real pairs of the same owner do.

Image and text are compared in the joint space of the frozen encoders. The threshold comes from
the owner's own complete pairs, so that no data is shared for it.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist

import torch
from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.completion.contents import SOURCE_OF
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.model.evaluation import Conditions, only

ACCEPT_ALL = -1.0  # no cosine lies below it
_PRIOR_SPREAD = 0.1  # order of magnitude of the standard deviation of image-text cosines
_PRIOR_PAIRS = 2.0  # how many pairs the prior counts for


def pair_similarity(image: Tensor, text: Tensor) -> Tensor:
    """Return the cosine (N,) of pooled embeddings (N, P) of one joint space, 0 for zero vectors."""
    return torch.cosine_similarity(image.float(), text.float(), dim=-1)


def calibrate_threshold(similarities: Tensor, quantile: float) -> float:
    """Return the similarity below which a completion is rejected.

    With n real pairs the k-th smallest similarity, k = floor(quantile * (n + 1)), is the split
    conformal threshold: a further real pair lies below it with a chance of at most `quantile`. With
    fewer than 1 / quantile - 1 pairs there is no such k; the normal distribution's predictive bound
    takes over, its spread drawn towards a prior, and never above the smallest real similarity.

    Args:
        similarities: (n,) of the owner's real pairs; NaN entries are left out.
        quantile: share of real pairs that may be rejected, in [0, 1); 0 accepts everything.

    Returns:
        The threshold; -1, which accepts everything, without real pairs or with `quantile` 0.
    """
    real = sorted(float(value) for value in similarities.tolist() if not math.isnan(value))
    count = len(real)
    if count == 0 or quantile == 0:
        return ACCEPT_ALL
    rank = int(quantile * (count + 1) + 1e-9)  # 0.05 * 20 must be 1
    if rank >= 1:
        return real[rank - 1]
    mean = sum(real) / count
    squares = sum((value - mean) ** 2 for value in real)
    freedom = count - 1 + _PRIOR_PAIRS
    spread = math.sqrt((squares + _PRIOR_PAIRS * _PRIOR_SPREAD**2) / freedom)
    reach = -NormalDist().inv_cdf(quantile) * spread * math.sqrt(1 + 1 / count)
    return max(min(mean - reach, real[0]), ACCEPT_ALL)


def gate(similarity: Tensor, threshold: float) -> Tensor:
    """Return which completions (N,) bool pass: at least `threshold`, and not NaN."""
    return similarity >= threshold


def accept(
    prepared: PreparedSet, threshold: float, completion: CompletionSettings
) -> dict[str, Tensor]:
    """By modality, (N,) bool: the completions that pass the quality gate, if there is one."""
    return {
        name: made.present & gate(prepared.similarity[name], threshold)
        if completion.quality_gate
        else made.present
        for name, made in prepared.completed.items()
    }


def training_batch(
    prepared: PreparedSet, accepted: Mapping[str, Tensor], completion: CompletionSettings
) -> Batch:
    """The samples that a client trains on; `incomplete` decides about the remaining holes."""
    batch = prepared.batch(accepted)
    if completion.incomplete == "mask":
        return batch
    whole = torch.stack([m.present for m in batch.modalities.values()]).all(dim=0)
    return batch.select(whole.nonzero().flatten())


def conditions(
    test: PreparedSet,
    threshold: float,
    completion: CompletionSettings,
    unseen: Mapping[str, Tensor],
) -> Conditions:
    """The test set under every condition, without and with completion.

    `complete` are the samples that have both modalities, `image-only` and `text-only` those that
    have that one, with the other hidden; `unseen-image` and `unseen-text` those of them whose class
    no owner has an image, or a text, of. Where the test set has holes, `given` are all samples as
    they are.

    Args:
        test: the samples.
        threshold: of the quality gate.
        completion: whether there is one.
        unseen: by modality (C,) bool, the classes of which no owner really has it.
    """
    accepted = accept(test, threshold, completion)
    there = {name: m.present for name, m in test.real.modalities.items()}
    whole = torch.stack(list(there.values())).all(dim=0)
    plain = {"complete": _some(test.real, whole)}
    completed = {}
    for name in MODALITIES:
        other = SOURCE_OF[name]
        plain[f"{name}-only"] = _some(only(test.real, name), there[name])
        if test.completed[other].present.any():
            everywhere = torch.ones(len(test), dtype=torch.bool)
            filled = test.batch(accepted, hidden={other: everywhere})
            completed[f"{name}-only"] = _some(filled, there[name])
    for name in MODALITIES:
        alone, of_class = f"{name}-only", unseen[name]
        for sets in (plain, completed):
            if of_class.any() and alone in sets:
                sets[f"unseen-{name}"] = _some(sets[alone], of_class[sets[alone].labels])
    if not whole.all():
        plain["given"] = test.real
        if completed:
            completed["given"] = test.batch(accepted)
    return Conditions(plain, completed)


def _some(batch: Batch, flags: Tensor) -> Batch:
    return batch if flags.all() else batch.select(flags.nonzero().flatten())

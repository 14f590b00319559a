"""The quality gate: a completion must fit its sample as real pairs of the same owner do.

Image and text are compared in the joint space of the frozen encoders. The threshold comes from
the owner's own complete pairs, so that no data is shared for it.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist

import torch
from torch import Tensor

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


def accept_completions(
    similarity: Mapping[str, Tensor], real_pairs: Tensor, quantile: float
) -> dict[str, Tensor]:
    """Gate the completions of one owner by its own real pairs.

    Args:
        similarity: by modality (N,), NaN where nothing was completed.
        real_pairs: (M,) similarities of the owner's real pairs, NaN entries are left out.
        quantile: the setting `quality-gate`; 0 accepts every completion.

    Returns:
        By modality (N,) bool; with `quantile` 0 all True, whether there is a completion or not.
    """
    if quantile == 0:
        return {m: torch.ones_like(values, dtype=torch.bool) for m, values in similarity.items()}
    threshold = calibrate_threshold(real_pairs, quantile)
    return {name: gate(values, threshold) for name, values in similarity.items()}

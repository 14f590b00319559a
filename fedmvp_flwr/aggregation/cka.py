"""Linear CKA between the representations of clients, and the graph importance in linear time.

Linear centred kernel alignment (Kornblith et al. 2019, eq. 3-4) compares two representations of
the same m samples; it does not change under rotation, scaling and translation of either. FedMVP
(arXiv 2406.11048, section 3.3) takes it as the edge weight between two clients and a client's
row sum as its importance.

With G the centred Gram matrix of a client divided by its Frobenius norm, CKA(i, j) = <G_i, G_j>.
The row sum is therefore <G_i, sum_j G_j>: exact, and linear in the number of clients.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

# Centring a constant float32 representation leaves rounding noise of about 1e-7 of its norm.
_CONSTANT_BELOW = 1e-6
_CLIENTS_PER_BLOCK = 64  # bounds the memory: 64 Gram matrices of 256 samples are 17 MB


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Similarity of two representations of the same samples.

    Args:
        x: (m, p) representations of m >= 2 samples.
        y: (m, q) representations of the same samples in the same order.

    Returns:
        A scalar in [0, 1]; 0 where either representation is constant over the samples.

    Raises:
        ValueError: wrong shapes, fewer than 2 samples, or values that are not finite.
    """
    for name, value in (("x", x), ("y", y)):
        if value.ndim != 2:
            raise ValueError(f"{name} must have shape (m, d), got {tuple(value.shape)}.")
        _check(value, name)
    if len(x) != len(y):
        raise ValueError(f"x and y must hold the same samples, got {len(x)} and {len(y)} rows.")
    return (_unit_gram(x[None]) * _unit_gram(y[None])).sum().clamp(0.0, 1.0)


def cka_matrix(reps: Tensor) -> Tensor:
    """Similarity of every pair of clients.

    Args:
        reps: (K, m, d) representations of the same m >= 2 samples by K >= 1 clients.

    Returns:
        (K, K), symmetric, in [0, 1]. The row and column of a constant client are 0.

    Raises:
        ValueError: wrong shape, fewer than 2 samples, or values that are not finite.
    """
    _check_clients(reps)
    grams = torch.cat([block.flatten(1) for block in _unit_gram_blocks(reps)])
    similarity = grams @ grams.T
    return ((similarity + similarity.T) / 2).clamp(0.0, 1.0)


def graph_importance(reps: Tensor, temperature: float = 1.0) -> Tensor:
    """Importance of every client in the CKA graph: its row sum, as a share of all.

    Args:
        reps: (K, m, d) representations of the same m >= 2 samples by K >= 1 clients.
        temperature: 1 is the paper's row sum; below 1 the nearly uniform row sums are sharpened,
            importance ** (1 / temperature), above 1 they are flattened.

    Returns:
        (K,) non-negative, summing to 1, in time linear in K. A constant client gets 0; if all
        are, all get 1 / K.

    Raises:
        ValueError: as for `cka_matrix`, or a temperature that is not positive.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}.")
    _check_clients(reps)
    total = sum(block.sum(dim=0) for block in _unit_gram_blocks(reps))
    strength = torch.cat([(block * total).sum(dim=(1, 2)) for block in _unit_gram_blocks(reps)])
    strength = strength.clamp_min(0.0)
    if not strength.any():
        strength = torch.ones_like(strength)
    sharpened = (strength / strength.max()).pow(1.0 / temperature)
    return sharpened / sharpened.sum()


def _unit_gram_blocks(reps: Tensor) -> Iterator[Tensor]:
    for block in reps.split(_CLIENTS_PER_BLOCK):
        yield _unit_gram(block)


def _unit_gram(reps: Tensor) -> Tensor:
    """Centred Gram matrices (K, m, m) of Frobenius norm 1, or all zero where constant."""
    dtype = reps.dtype if reps.dtype == torch.float64 else torch.float32
    reps = reps.to(torch.float64)
    scale = reps.abs().amax(dim=(1, 2), keepdim=True)
    reps = reps / torch.where(scale > 0, scale, 1.0)  # no overflow, whatever the unit
    centred = reps - reps.mean(dim=1, keepdim=True)
    size = torch.linalg.matrix_norm(reps)
    constant = torch.linalg.matrix_norm(centred) <= _CONSTANT_BELOW * size
    centred = centred.to(dtype)
    gram = centred @ centred.mT
    norm = torch.linalg.matrix_norm(gram)[:, None, None]
    empty = constant[:, None, None] | (norm == 0)
    return torch.where(empty, 0.0, gram / torch.where(empty, 1.0, norm))


def _check_clients(reps: Tensor) -> None:
    if reps.ndim != 3 or not len(reps):
        raise ValueError(f"reps must have shape (K >= 1, m, d), got {tuple(reps.shape)}.")
    _check(reps, "reps")


def _check(value: Tensor, name: str) -> None:
    if value.shape[-2] < 2:
        raise ValueError(f"CKA needs at least 2 samples, {name} has {value.shape[-2]}.")
    if not value.shape[-1]:
        raise ValueError(f"{name} has no features: shape {tuple(value.shape)}.")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name} has values that are not finite.")

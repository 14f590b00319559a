"""Nearest neighbours by cosine, and how usual a neighbour's distance is."""

import torch
from torch import Tensor

NOBODY = -1  # index of a query that has no candidate
_CHUNK = 1024  # queries per matrix product


def nearest(queries: Tensor, candidates: Tensor, excluded: Tensor) -> tuple[Tensor, Tensor]:
    """Return the candidate of the highest cosine for each query.

    Args:
        queries: (Q, P) of any length and scale.
        candidates: (M, P); of equal cosines the first one wins.
        excluded: (Q,) index of a candidate that a query may not get, -1 where there is none.

    Returns:
        Indices (Q,), -1 where no candidate is left, and their cosines (Q,), there NaN.
    """
    index = torch.full((len(queries),), NOBODY)
    cosine = torch.full((len(queries),), torch.nan)
    if not len(candidates) or not len(queries):
        return index, cosine
    unit = torch.nn.functional.normalize(candidates.float(), dim=1)
    for rows in torch.arange(len(queries)).split(_CHUNK):
        scores = torch.nn.functional.normalize(queries[rows].float(), dim=1) @ unit.T
        barred = excluded[rows]
        some = barred != NOBODY
        scores[some, barred[some]] = -torch.inf
        best, place = scores.max(dim=1)
        found = best > -torch.inf
        index[rows[found]], cosine[rows[found]] = place[found], best[found]
    return index, cosine


def typicality(cosines: Tensor, references: Tensor, members: Tensor) -> Tensor:
    """Return how usual a neighbour's cosine is: (1 + references at most as high) / (1 + number).

    This is the conformal p-value of the distance: for a query that is exchangeable with the
    references it is uniform, so that a quantile of it can be compared between modalities.

    Args:
        cosines: (Q,), NaN where there is no neighbour.
        references: (M,) cosines of real samples with their own nearest neighbours; NaN left out.
        members: (Q,) bool, the query is one of the references, which then counts once, not twice.

    Returns:
        (Q,) in (0, 1], NaN where the cosine is.
    """
    known = references[~references.isnan()].sort().values
    below = torch.searchsorted(known, cosines.contiguous(), right=True)
    extra = (~members).long()
    value = (extra + below) / (extra + len(known))
    return value.masked_fill(cosines.isnan(), torch.nan)

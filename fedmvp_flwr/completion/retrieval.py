"""Completion by retrieval: the missing modality of the nearest complete sample.

Nearest by the frozen pooled embedding of the modality that is there, within the client's own
complete pairs or in a split that everyone holds. Nothing is generated and no further model is
loaded; what is taken over is flagged `generated` all the same, because it is another sample's.
"""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from fedmvp_flwr.base.samples import IMAGE, TEXT, Sample
from fedmvp_flwr.completion.completer import Completer, Features, Wanted
from fedmvp_flwr.completion.contents import SOURCE_OF, CompletionRecord, content_digest
from fedmvp_flwr.completion.store import key_for
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES

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


class RetrievalCompleter(Completer):
    """Finds for each sample the nearest one of a pool of complete samples, itself left out."""

    takes_over = True
    own_measure = "typicality of the neighbour"

    @cached_property
    def _place(self) -> dict[str, int]:
        """Where each sample stands in the pool, by its key."""
        return {sample.key: place for place, sample in enumerate(self.pool)}

    @cached_property
    def _pool_key(self) -> str:
        return key_for("pool", keys=list(self._place), digests=self.pool_digests)

    def key(
        self, modality: str, digest: str, class_name: str | None, sample_key: str
    ) -> str | None:
        """Return the key: source, encoder, pool, and the sample where it is in the pool itself.

        None where nothing is left to take from. The class name has no part in it.
        """
        inside = sample_key in self._place
        if len(self.pool) <= inside:
            return None
        return key_for(
            "completion",
            way="retrieval",
            modality=modality,
            source=digest,
            encoder=self.models.fingerprint(ENCODER_ROLES[SOURCE_OF[modality]]),
            pool=self._pool_key,
            excluded=sample_key if inside else None,
        )

    def take_over(
        self, modality: str, wanted: Sequence[Wanted], features: Features
    ) -> list[CompletionRecord]:
        """Take the modality of the nearest sample of the pool.

        The provenance names the neighbour, its cosine and how usual that is.
        """
        if not wanted:
            return []
        source = SOURCE_OF[modality]
        found, cosine, usual = self._nearest(
            source,
            [item.source_digest for item in wanted],
            [item.sample_key for item in wanted],
            features,
        )
        records = []
        for row, item in enumerate(wanted):
            place = int(found[row])
            provenance = {
                "modality": modality,
                "source": item.source_digest,
                "neighbour": self.pool[place].key,
                "cosine": float(cosine[row]),
                "typicality": float(usual[row]),
            }
            text = self.pool[place].text if modality == TEXT else None
            records.append(CompletionRecord(self.pool_digests[modality][place], text, provenance))
        return records

    def typicality_of_pairs(self, samples: Sequence[Sample], features: Features) -> Tensor:
        """How usual the nearest neighbour of a complete sample's image is; NaN for the others."""
        values = super().typicality_of_pairs(samples, features)
        rows = [row for row, sample in enumerate(samples) if sample.complete]
        if rows and self.pool:
            digests = [content_digest(samples[row], IMAGE) or "" for row in rows]
            keys = [samples[row].key for row in rows]
            values[torch.tensor(rows)] = self._nearest(IMAGE, digests, keys, features)[2]
        return values

    def _nearest(
        self, modality: str, digests: Sequence[str], keys: Sequence[str], features: Features
    ) -> tuple[Tensor, Tensor, Tensor]:
        """For Q contents of samples: the place of the nearest, its cosine, how usual that is."""
        queries = _pooled(modality, digests, features)
        pool = _pooled(modality, self.pool_digests[modality], features)
        own_places = torch.tensor([self._place.get(key, NOBODY) for key in keys])
        found, cosine = nearest(queries, pool, own_places)
        among_pool = nearest(pool, pool, torch.arange(len(pool)))[1]
        return found, cosine, typicality(cosine, among_pool, own_places != NOBODY)


def _pooled(modality: str, digests: Sequence[str], features: Features) -> Tensor:
    """Stack pooled embeddings (N, P) of N > 0 contents."""
    return torch.stack([features[modality, digest].pooled for digest in digests])

"""From what has been found and made to the prepared set, with the similarity of every pair."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT
from fedmvp_flwr.completion.completers import SOURCE_OF
from fedmvp_flwr.completion.gating import pair_similarity
from fedmvp_flwr.completion.preparation_state import Work
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.retrieval import recorded_typicality


def assemble(work: Work) -> PreparedSet:
    """Assemble what has been found and made."""
    labels = torch.tensor([sample.label for sample in work.samples], dtype=torch.int64)
    real = {m: work.encoding.stack(m, work.digests[m], generated=False) for m in MODALITIES}
    completed, made, reused, similarity = {}, {}, {}, {}
    for modality in MODALITIES:
        keys = [item.key if item else None for item in work.wanted[modality]]
        records = [work.records[key] if key else None for key in keys]
        digests = [record.digest if record else None for record in records]
        completed[modality] = work.encoding.stack(modality, digests, generated=True)
        reused[modality] = sum(key in work.in_store for key in keys)
        made[modality] = sum(key is not None for key in keys) - reused[modality]
        source = SOURCE_OF[modality]
        similarity[modality] = (
            _similarity(work, {modality: digests, source: work.digests[source]})
            if work.models.comparable
            else recorded_typicality(records)
        )
    return PreparedSet(
        keys=tuple(sample.key for sample in work.samples),
        real=Batch(real, labels),
        completed=completed,
        similarity=similarity,
        pair_similarity=_pair_similarity(work),
        made=made,
        reused=reused,
        seconds=work.seconds,
    )


def _pair_similarity(work: Work) -> Tensor:
    if work.models.comparable:
        return _similarity(work, work.digests)
    if work.retriever and work.asked:
        return work.retriever.typicality_of_pairs(work.samples, work.encoding.features)
    return torch.full((len(work.samples),), torch.nan)


def _similarity(work: Work, digests: Mapping[str, Sequence[str | None]]) -> Tensor:
    """Cosine (N,) of images and texts as the gate's encoders see them, NaN where one lacks."""
    rows = [
        row
        for row, pair in enumerate(zip(digests[IMAGE], digests[TEXT], strict=True))
        if None not in pair
    ]
    cosine = torch.full((len(work.samples),), torch.nan)
    if rows:
        image, text = (
            torch.stack([work.gate.features[m, str(digests[m][row])].pooled for row in rows])
            for m in (IMAGE, TEXT)
        )
        cosine[torch.tensor(rows)] = pair_similarity(image, text)
    return cosine

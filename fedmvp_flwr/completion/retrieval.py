"""Completion by retrieval: the missing modality of the nearest complete sample.

Nearest by the frozen pooled embedding of the modality that is there, within the client's own
complete pairs or in a split that everyone holds. Nothing is generated and no further model is
loaded; what is taken over is flagged `generated` all the same, because it is another sample's.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Dataset, Sample, text_digest
from fedmvp_flwr.completion.codec import CompletionRecord
from fedmvp_flwr.completion.completers import SOURCE_OF
from fedmvp_flwr.completion.neighbours import NOBODY, nearest, typicality
from fedmvp_flwr.completion.plan import Wanted, content_digest
from fedmvp_flwr.completion.store import key_for
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels

Features = Mapping[tuple[str, str], ModalityFeatures]  # by (modality, digest)


class RetrievalCompleter:
    """Finds for each sample the nearest one of a pool of complete samples, itself left out.

    Args:
        models: the frozen models, only asked for their fingerprints.
        config: the run's settings.
        pool: the samples to take from; incomplete ones are passed over.

    Attributes:
        samples: those of the pool that are complete, sorted by key.
        digests: of their contents, by modality.
    """

    def __init__(self, models: FoundationModels, config: RunConfig, pool: Sequence[Sample]) -> None:
        """See the class."""
        self._models = models
        complete = {sample.key: sample for sample in pool if sample.complete}
        self.samples = tuple(complete[key] for key in sorted(complete))
        self._place = {sample.key: place for place, sample in enumerate(self.samples)}
        self.digests = {
            modality: [content_digest(sample, modality) or "" for sample in self.samples]
            for modality in MODALITIES
        }
        self._pool_key = key_for("pool", keys=list(self._place), digests=self.digests)

    def key(
        self, modality: str, digest: str, class_name: str | None, sample_key: str
    ) -> str | None:
        """Return the key: source, encoder, pool, and the sample where it is in the pool itself.

        None where nothing is left to take from. The class name has no part in it.
        """
        inside = sample_key in self._place
        if len(self.samples) <= inside:
            return None
        return key_for(
            "completion",
            way="retrieval",
            modality=modality,
            source=digest,
            encoder=self._models.fingerprint(ENCODER_ROLES[SOURCE_OF[modality]]),
            pool=self._pool_key,
            excluded=sample_key if inside else None,
        )

    def retrieve(
        self, modality: str, wanted: Sequence[Wanted], features: Features
    ) -> list[CompletionRecord]:
        """Take the modality over from the nearest sample of the pool.

        Args:
            modality: the missing one.
            wanted: what the samples ask for; `key` gave each a key.
            features: those of the sources and of the whole pool.

        Returns:
            Records whose provenance names the neighbour, its cosine and how usual that is.
        """
        if not wanted:
            return []
        source = SOURCE_OF[modality]
        queries = _pooled(source, [item.source_digest for item in wanted], features)
        places = self._places([item.sample_key for item in wanted])
        pool = _pooled(source, self.digests[source], features)
        found, cosine = nearest(queries, pool, places)
        own = nearest(pool, pool, torch.arange(len(pool)))[1]
        usual = typicality(cosine, own, places != NOBODY)
        records = []
        for row, item in enumerate(wanted):
            neighbour = self.samples[int(found[row])]
            provenance = {
                "modality": modality,
                "source": item.source_digest,
                "neighbour": neighbour.key,
                "cosine": float(cosine[row]),
                "typicality": float(usual[row]),
            }
            records.append(_record(neighbour, modality, provenance))
        return records

    def image(self, digest: str) -> Sample | None:
        """Return the sample of the pool whose image has this digest."""
        if digest not in self.digests[IMAGE]:
            return None
        return self.samples[self.digests[IMAGE].index(digest)]

    def typicality_of_pairs(self, samples: Sequence[Sample], features: Features) -> Tensor:
        """How usual the nearest neighbour of each complete sample's image is; NaN for the others.

        What `calibrate_threshold` takes where images and texts cannot be compared.
        """
        values = torch.full((len(samples),), torch.nan)
        rows = [row for row, sample in enumerate(samples) if sample.complete]
        if not rows or not self.samples:
            return values
        digests = [content_digest(samples[row], IMAGE) or "" for row in rows]
        queries, pool = _pooled(IMAGE, digests, features), self.digests[IMAGE]
        candidates = _pooled(IMAGE, pool, features)
        places = self._places([samples[row].key for row in rows])
        _, cosine = nearest(queries, candidates, places)
        own = nearest(candidates, candidates, torch.arange(len(candidates)))[1]
        values[torch.tensor(rows)] = typicality(cosine, own, places != NOBODY)
        return values

    def _places(self, keys: Sequence[str]) -> Tensor:
        """Places (N,) of samples in the pool, -1 where they are not in it."""
        return torch.tensor([self._place.get(key, NOBODY) for key in keys], dtype=torch.int64)


def retrieval_pool(
    own: Sequence[Sample], dataset: Dataset, config: RunConfig
) -> tuple[Sample, ...]:
    """Return the complete samples that a client, or the server, may take from.

    Args:
        own: the samples that it owns itself; the server owns none.
        dataset: holds the public split.
        config: names the source.

    Raises:
        DataError: the data set has no such split, or it holds no complete pair.
    """
    if config.completion.kind != "retrieval":
        return ()
    if config.completion.retrieval_source == "own":
        return tuple(sample for sample in own if sample.complete)
    return public_pairs(dataset, config)


def public_pairs(dataset: Dataset, config: RunConfig) -> tuple[Sample, ...]:
    """Return the complete samples of the split that everyone may see.

    Raises:
        DataError: the data set has no such split, or it holds no complete pair.
    """
    split = config.data.public_split
    if split not in dataset.splits:
        raise DataError(
            f"public-split='{split}': the data set has no split of this name (it has "
            f"{', '.join(sorted(dataset.splits))}). Name another one, or use "
            "retrieval-source='own' and probe-source='generated'."
        )
    if split in ("train", "test"):
        raise DataError(
            f"public-split='{split}' is what clients own or are tested on, not public data. Name "
            "another split, or use retrieval-source='own' and probe-source='generated'."
        )
    pool = tuple(sample for sample in dataset.splits[split] if sample.complete)
    if not pool:
        raise DataError(
            f"public-split='{split}' holds no complete pair. Name another split, or "
            "use retrieval-source='own' and probe-source='generated'."
        )
    return pool


def recorded_typicality(records: Sequence[CompletionRecord | None]) -> Tensor:
    """How usual the neighbours are that retrieval took from (N,), NaN for everything else."""
    values = [record.provenance.get("typicality") if record else None for record in records]
    return torch.tensor([torch.nan if value is None else float(value) for value in values])


def _pooled(modality: str, digests: Sequence[str], features: Features) -> Tensor:
    """Stack pooled embeddings (N, P); an empty list gives (0, 0)."""
    found = [features[modality, digest].pooled for digest in digests]
    return torch.stack(found) if found else torch.zeros(0, 0)


def _record(neighbour: Sample, modality: str, provenance: dict[str, object]) -> CompletionRecord:
    if modality == TEXT:
        text = neighbour.text or ""
        return CompletionRecord(text_digest(text), text, provenance)
    return CompletionRecord(content_digest(neighbour, IMAGE) or "", None, provenance)

"""One request on its way to features: what it asks for, what is known, how a chunk is made."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.completion.completer import Wanted
from fedmvp_flwr.completion.contents import (
    SOURCE_OF,
    CompletionRecord,
    Content,
    Source,
    completion_items,
)
from fedmvp_flwr.completion.encoding import Encoding
from fedmvp_flwr.completion.gating import pair_similarity
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.foundation.bundle import GENERATOR_ROLES

_T = TypeVar("_T")
COMPLETION, FEATURES = "completion", "features"
"""The phases whose seconds are counted."""


class Preparation:
    """The state of one request of `prepare`.

    Attributes:
        request: samples and what is asked for of them.
        wanted: by modality, the N completions that are asked for, None where none is.
        holders: by modality, every real content by digest, with a sample that has it.
        records: what is known of each completion, by its key.
        encoding: features by the run's encoders.
        gate: features by the encoders that the quality gate measures with; often the same.
        encodings: both, each once.

    Raises:
        DataError: a sample lacks what its completion would be made from.
        ModelError: the quality gate is on, and could measure nothing.
    """

    def __init__(
        self, request: Request, store: FeatureStore, on_progress: Progress | None = None
    ) -> None:
        completer = request.completer
        self.request, self.completer, self.models = request, completer, completer.models
        self.store, self._on_progress = store, on_progress
        self.wanted = request.wanted
        self.asked = any(item for rows in self.wanted.values() for item in rows)
        if self.asked:
            completer.check_gate(self.models, completer.settings)
        self.holders = {modality: self._holders(modality) for modality in MODALITIES}
        self.records: dict[str, CompletionRecord] = {}
        self._in_store: set[str] = set()  # keys of the completions that the store had
        self._seconds = {COMPLETION: 0.0, FEATURES: 0.0}
        # Of contents that are only searched few are taken over, and the gate compares pooled
        # embeddings: their tokens are not kept.
        searched = {m: set(completer.pool_digests[m]) - set(request.digests[m]) for m in MODALITIES}
        self.encoding = Encoding(self.models, store, lambda m, digest: digest not in searched[m])
        self.encodings = [self.encoding]
        if self.models.gate is not self.models:
            self.encodings.append(Encoding(self.models.gate, store, lambda m, digest: False))
        self.gate = self.encodings[-1]

    def _holders(self, modality: str) -> dict[str, Sample]:
        """Every real content, by digest: the samples', and the pool's if one is asked for."""
        pairs = list(zip(self.request.digests[modality], self.request.samples, strict=True))
        if self.asked:
            pairs += zip(self.completer.pool_digests[modality], self.completer.pool, strict=True)
        return {digest: sample for digest, sample in pairs if digest is not None}

    def look_up(self) -> None:
        """Fetch every record and feature that is not known yet and that the store has by now."""
        with self.clock(FEATURES):
            wanted = (item.key for m in MODALITIES for item in self.wanted[m] if item)
            keys = [key for key in wanted if key not in self.records]
            for key, value in self.store.get_many(keys).items():
                self.records[key] = CompletionRecord.from_bytes(value)
                self._in_store.add(key)
            digests = {m: set(self.holders[m]) for m in MODALITIES}
            for modality in MODALITIES:
                known = {item.key for item in self.wanted[modality] if item} & self.records.keys()
                digests[modality] |= {self.records[key].digest for key in known}
            for encoding in self.encodings:
                encoding.look_up(digests)

    def missing_completions(self, modality: str) -> dict[str, list[Wanted]]:
        """Completions to be made now, each once, by the digest of their source."""
        missing: dict[str, dict[str, Wanted]] = {}
        for item in self.wanted[modality]:
            if item and item.key not in self.records and not self.completer.takes_over:
                missing.setdefault(item.source_digest, {})[item.key] = item
        return {digest: list(items.values()) for digest, items in missing.items()}

    def forget(self, key: str) -> None:
        """Have a completion made again."""
        del self.records[key]
        self._in_store.discard(key)

    def lacks(self, modality: str, digest: str) -> bool:
        """Whether an encoding has no features of this content."""
        return any((modality, digest) not in encoding.features for encoding in self.encodings)

    def complete(
        self, modality: str, sources: Sequence[tuple[str, Source]]
    ) -> tuple[dict[str, bytes], dict[str, Content]]:
        """Complete one chunk; return what to store and the generated contents by digest."""
        items: dict[str, bytes] = {}
        contents: dict[str, Content] = {}
        if not sources:
            return items, contents
        with self.clock(COMPLETION):
            completions = self.completer.complete(modality, [source for _, source in sources])
            for (key, _), completion in zip(sources, completions, strict=True):
                self.records[key], new = completion_items(key, completion)
                items |= new
                contents[self.records[key].digest] = completion.content
        return items, contents

    def encode(self, modality: str, contents: Mapping[str, Content]) -> dict[str, bytes]:
        """Compute what is missing of one chunk's features, by digest; return what to store."""
        items: dict[str, bytes] = {}
        with self.clock(FEATURES):
            for encoding in self.encodings:
                items |= encoding.encode(modality, contents)
        return items

    def real_texts(self) -> dict[str, str]:
        """Every real text that is needed, by digest."""
        return {digest: sample.text or "" for digest, sample in self.holders[TEXT].items()}

    def at_once(self, modality: str) -> int:
        """How many completions of a modality are made, and encoded, at once."""
        most = self.models.settings.foundation_batch_size
        role = GENERATOR_ROLES[modality]
        return min(most, self.models.at_once(role)) if role in self.completer.roles else most

    def chunks(self, items: list[_T], size: int = 0) -> Iterator[list[_T]]:
        """Cut in pieces of `size`, or of `foundation-batch-size`."""
        size = size or self.models.settings.foundation_batch_size
        for start in range(0, len(items), size):
            yield items[start : start + size]

    @contextmanager
    def clock(self, phase: str) -> Iterator[None]:
        """Count the seconds in the block to a phase."""
        start = time.perf_counter()
        yield
        self._seconds[phase] += time.perf_counter() - start

    def report(self, stage: str, done: int, total: int) -> None:
        """Tell of progress, where there is something to do."""
        if self._on_progress is not None and total:
            self._on_progress(stage, done, total)

    def result(self) -> PreparedSet:
        """Assemble what has been found and made."""
        samples, digests = self.request.samples, self.request.digests
        labels = torch.tensor([sample.label for sample in samples], dtype=torch.int64)
        real = {m: self.encoding.stack(m, digests[m], generated=False) for m in MODALITIES}
        completed, made, reused, similarity = {}, {}, {}, {}
        for modality in MODALITIES:
            keys = [item.key if item else None for item in self.wanted[modality]]
            records = [self.records[key] if key else None for key in keys]
            there = [record.digest if record else None for record in records]
            completed[modality] = self.encoding.stack(modality, there, generated=True)
            reused[modality] = sum(key in self._in_store for key in keys)
            made[modality] = sum(key is not None for key in keys) - reused[modality]
            source = SOURCE_OF[modality]
            similarity[modality] = (
                self._similarity({modality: there, source: digests[source]})
                if self.models.comparable
                else _typicality(records)
            )
        return PreparedSet(
            keys=tuple(sample.key for sample in samples),
            real=Batch(real, labels),
            completed=completed,
            similarity=similarity,
            pair_similarity=self._pair_similarity(),
            made=made,
            reused=reused,
            seconds=self._seconds,
        )

    def _pair_similarity(self) -> Tensor:
        samples = self.request.samples
        if self.models.comparable:
            return self._similarity(self.request.digests)
        if self.asked:
            return self.completer.typicality_of_pairs(samples, self.encoding.features)
        return torch.full((len(samples),), torch.nan)

    def _similarity(self, digests: Mapping[str, Sequence[str | None]]) -> Tensor:
        """Cosine (N,) of images and texts as the gate's encoders see them, NaN where one lacks."""
        pairs = list(zip(digests[IMAGE], digests[TEXT], strict=True))
        cosine = torch.full((len(pairs),), torch.nan)
        rows = [row for row, pair in enumerate(pairs) if None not in pair]
        if rows:
            image, text = (
                torch.stack([self.gate.features[m, str(digests[m][row])].pooled for row in rows])
                for m in (IMAGE, TEXT)
            )
            cosine[torch.tensor(rows)] = pair_similarity(image, text)
        return cosine


def _typicality(records: Sequence[CompletionRecord | None]) -> Tensor:
    """What completions (N,) are gated by without a common space, NaN where there is none."""
    values = [record.provenance.get("typicality") if record else None for record in records]
    return torch.tensor([torch.nan if value is None else float(value) for value in values])

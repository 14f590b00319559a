"""The state of one preparation: what is asked for, what is known, and how a chunk is made."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import MODALITIES, TEXT, Sample
from fedmvp_flwr.completion import codec
from fedmvp_flwr.completion.completers import Completer, Content, Source
from fedmvp_flwr.completion.encoding import Encoding
from fedmvp_flwr.completion.plan import (
    Wanted,
    check_flags,
    check_gate,
    content_digest,
    wanted_completions,
)
from fedmvp_flwr.completion.registry import completer_for
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

_T = TypeVar("_T")
COMPLETION, FEATURES = "completion", "features"
"""The phases whose seconds are counted."""


class Work:
    """One request of `prepare_sets`; the arguments are its own.

    Attributes:
        wanted: by modality, N completions that are asked for, None where none is.
        holders: by modality, every real content by digest, with a sample that has it.
        records: what is known of each completion, by its key.
        in_store: keys of the completions that the store had.
        encoding: features by the run's encoders.
        gate: features by the encoders that the quality gate measures with; often the same.
        encodings: both, each once.
        seconds: by phase.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        complete: Mapping[str, Sequence[bool]],
        models: FoundationModels,
        store: FeatureStore,
        config: RunConfig,
        class_names: Sequence[str],
        pool: Sequence[Sample],
        on_progress: Progress | None,
    ) -> None:
        self.samples, self.models, self.store, self.config = samples, models, store, config
        self.on_progress = on_progress
        self.seconds = {COMPLETION: 0.0, FEATURES: 0.0}
        self.completer = completer_for(models, config, pool)
        self.digests = {m: [content_digest(sample, m) for sample in samples] for m in MODALITIES}
        self.wanted = self._plan(complete, class_names)
        self.holders = {m: self._holders(m) for m in MODALITIES}
        self.records: dict[str, codec.CompletionRecord] = {}
        self.in_store: set[str] = set()
        others = self._of_pool_alone()
        self.encoding = Encoding(models, store, lambda m, digest: digest not in others[m])
        apart = models.gate is not models
        # The gate compares pooled embeddings.
        self.gate = Encoding(models.gate, store, lambda m, d: False) if apart else self.encoding
        self.encodings = (self.encoding, self.gate) if apart else (self.encoding,)

    def _plan(
        self, complete: Mapping[str, Sequence[bool]], class_names: Sequence[str]
    ) -> dict[str, list[Wanted | None]]:
        check_flags(complete, len(self.samples))
        if self.completer is None or not any(any(flags) for flags in complete.values()):
            return {modality: [None] * len(self.samples) for modality in MODALITIES}
        check_gate(self.models, self.config)
        return wanted_completions(
            self.samples, self.digests, complete, self.completer, self.config, class_names
        )

    def _holders(self, modality: str) -> dict[str, Sample]:
        """Every real content, by digest: the samples', and the pool's if one is asked for."""
        pairs = list(zip(self.digests[modality], self.samples, strict=True))
        if self.retriever and self.asked:
            pool = self.retriever
            pairs += zip(pool.digests[modality], pool.samples, strict=True)
        return {digest: sample for digest, sample in pairs if digest is not None}

    def _of_pool_alone(self) -> dict[str, set[str]]:
        """By modality, the contents that are only searched, of which few are taken over."""
        pool = self.retriever
        return {
            m: set(pool.digests[m]) - set(self.digests[m]) if pool else set() for m in MODALITIES
        }

    @property
    def asked(self) -> bool:
        """Whether any completion is asked for."""
        return any(item for rows in self.wanted.values() for item in rows)

    @property
    def retriever(self) -> RetrievalCompleter | None:
        """The completer, if it is the one that retrieves."""
        return self.completer if isinstance(self.completer, RetrievalCompleter) else None

    def look_up(self) -> None:
        """Fetch every record and feature that is not known yet and that the store has by now."""
        with self.clock(FEATURES):
            wanted = (item.key for m in MODALITIES for item in self.wanted[m] if item)
            keys = [key for key in wanted if key not in self.records]
            for key, value in self.store.get_many(keys).items():
                self.records[key] = codec.CompletionRecord.from_bytes(value)
                self.in_store.add(key)
            digests = {m: self._all_digests(m) for m in MODALITIES}
            for encoding in self.encodings:
                encoding.look_up(digests)

    def missing_completions(self, modality: str) -> dict[str, list[Wanted]]:
        """Completions to be generated now, each once, by the digest of their source."""
        if self.retriever:
            return {}
        missing: dict[str, dict[str, Wanted]] = {}
        for item in self.wanted[modality]:
            if item and item.key not in self.records:
                missing.setdefault(item.source_digest, {})[item.key] = item
        return {digest: list(items.values()) for digest, items in missing.items()}

    def lacks(self, modality: str, digest: str) -> bool:
        """Whether an encoding has no features of this content."""
        return any((modality, digest) not in encoding.features for encoding in self.encodings)

    def complete(
        self, modality: str, sources: Sequence[tuple[str, Source]]
    ) -> tuple[dict[str, bytes], dict[str, Content]]:
        """Complete one chunk; return what to store and the generated contents by digest."""
        items: dict[str, bytes] = {}
        contents: dict[str, Content] = {}
        if not sources or not isinstance(self.completer, Completer):
            return items, contents
        with self.clock(COMPLETION):
            completions = self.completer.complete(modality, [source for _, source in sources])
            for (key, _), completion in zip(sources, completions, strict=True):
                self.records[key], new = codec.completion_items(key, completion)
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

    def _all_digests(self, modality: str) -> set[str]:
        keys = {item.key for item in self.wanted[modality] if item}
        return set(self.holders[modality]) | {
            self.records[key].digest for key in keys if key in self.records
        }

    def real_texts(self) -> dict[str, str]:
        """Every real text that is needed, by digest."""
        return {digest: sample.text or "" for digest, sample in self.holders[TEXT].items()}

    def chunks(self, items: list[_T], size: int = 0) -> Iterator[list[_T]]:
        """Cut in pieces of `size`, or of `foundation-batch-size`."""
        size = size or self.config.models.foundation_batch_size
        for start in range(0, len(items), size):
            yield items[start : start + size]

    @contextmanager
    def clock(self, phase: str) -> Iterator[None]:
        """Count the seconds in the block to a phase."""
        start = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - start

    def report(self, stage: str, done: int, total: int) -> None:
        """Tell of progress, where there is something to do."""
        if self.on_progress is not None and total:
            self.on_progress(stage, done, total)

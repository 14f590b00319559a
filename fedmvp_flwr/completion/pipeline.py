"""From samples with holes to frozen features: the one path of clients, server and command line.

Everything is looked up in the feature store first and written to it chunk by chunk, so that a
crash loses at most one chunk and a second run loads no model and decodes no image.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from fedmvp_flwr.completion import codec
from fedmvp_flwr.completion.completers import (
    SOURCE_OF,
    Completer,
    Content,
    NamesCompletions,
    Source,
)
from fedmvp_flwr.completion.encoding import Encoding
from fedmvp_flwr.completion.plan import (
    Wanted,
    check_flags,
    check_gate,
    class_name_for,
    content_digest,
    load_image,
    wanted_completions,
)
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import pair_similarity
from fedmvp_flwr.completion.retrieval import RetrievalCompleter, recorded_typicality
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.completion.ways import completer_for
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.features import Batch
from fedmvp_flwr.foundation.bundle import FoundationModels

if TYPE_CHECKING:
    from PIL.Image import Image

Progress = Callable[[str, int, int], None]
_T = TypeVar("_T")
_COMPLETION, _FEATURES = "completion", "features"


def prepare_samples(
    samples: Sequence[Sample],
    *,
    complete: Mapping[str, Sequence[bool]],
    models: FoundationModels,
    store: FeatureStore,
    config: RunConfig,
    class_names: Sequence[str] = (),
    pool: Sequence[Sample] = (),
    on_progress: Progress | None = None,
) -> PreparedSet:
    """Complete samples and compute their frozen features, each thing at most once ever.

    Args:
        samples: N samples; a modality that is None is a hole.
        complete: by modality, N flags: make this modality of the sample from its other one, also
            where the real one is there (test sets). Ignored if `completion` is `none`.
        models: the frozen models; only those that have something to compute are loaded.
        store: where everything is kept.
        config: prompts, seed and batch size; the models know their own settings.
        class_names: in label order, used with `label-in-prompt` only; leave empty for test data,
            whose labels may never enter a prompt.
        pool: complete samples that `completion = "retrieval"` may take from; a sample of the pool
            is never completed by itself, and one with nothing to take from stays as it is.
        on_progress: called with (stage, done, total) after each chunk.

    Raises:
        DataError: flags do not fit the samples, a sample has nothing to complete from, or an image
            cannot be decoded.
        ModelError: a model is missing, or the quality gate is on and the encoders share no space.
        StoreError: the store cannot be used.
    """
    work = _Preparation(samples, complete, models, store, config, class_names, pool, on_progress)
    work.look_up()
    work.pass_over_images()
    work.pass_over_generated_images()
    work.pass_over_texts()
    work.pass_over_neighbours()
    return work.result()


def load_completion(
    sample: Sample,
    modality: str,
    *,
    models: FoundationModels,
    store: FeatureStore,
    config: RunConfig,
    class_names: Sequence[str] = (),
    pool: Sequence[Sample] = (),
    completer: NamesCompletions | None = None,
) -> "str | Image | None":
    """Return the stored completion of a sample's modality; None if there is none.

    The arguments are those of `prepare_samples`; nothing is computed and no model is loaded. For
    many samples `completer_for(models, config, pool)` is made once and handed over.
    """
    completer = completer or completer_for(models, config, pool)
    digest = content_digest(sample, SOURCE_OF[modality])
    if completer is None or digest is None:
        return None
    key = completer.key(modality, digest, class_name_for(sample, config, class_names), sample.key)
    value = store.get_many([key]).get(key) if key is not None else None
    if value is None:
        return None
    record = codec.CompletionRecord.from_bytes(value)
    if record.text is not None:
        return record.text
    if isinstance(completer, RetrievalCompleter):
        owner = completer.image(record.digest)
        return load_image(owner) if owner else None
    content = codec.content_key(record.digest)
    found = store.get_many([content])
    return codec.image_from_bytes(found[content]) if found else None


class _Preparation:
    """The state of one call of `prepare_samples`."""

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
        self.seconds = {_COMPLETION: 0.0, _FEATURES: 0.0}
        self.completer = completer_for(models, config, pool)
        self.digests = {m: [content_digest(sample, m) for sample in samples] for m in MODALITIES}
        self.wanted = self._plan(complete, class_names)
        self.holders = {m: self._holders(m) for m in MODALITIES}
        self.records: dict[str, codec.CompletionRecord] = {}
        self.in_store: set[str] = set()
        self.encoding = Encoding(models, store)
        apart = models.gate is not models
        self.gate = Encoding(models.gate, store) if apart else self.encoding
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
        if self._retriever and self._asked:
            pool = self._retriever
            pairs += zip(pool.digests[modality], pool.samples, strict=True)
        return {digest: sample for digest, sample in pairs if digest is not None}

    @property
    def _asked(self) -> bool:
        """Whether any completion is asked for."""
        return any(item for rows in self.wanted.values() for item in rows)

    @property
    def _retriever(self) -> RetrievalCompleter | None:
        return self.completer if isinstance(self.completer, RetrievalCompleter) else None

    def look_up(self) -> None:
        """Fetch every record and feature that the store has."""
        with self._clock(_FEATURES):
            keys = [item.key for m in MODALITIES for item in self.wanted[m] if item]
            for key, value in self.store.get_many(keys).items():
                self.records[key] = codec.CompletionRecord.from_bytes(value)
            self.in_store = set(self.records)
            digests = {m: self._all_digests(m) for m in MODALITIES}
            for encoding in self.encodings:
                encoding.look_up(digests)

    def pass_over_images(self) -> None:
        """Load each real image that is needed once: caption it, and compute its features."""
        captions = self._missing_completions(TEXT)
        references = self.holders[IMAGE]
        bare = [d for d in references if d not in captions and self._lacks(IMAGE, d)]
        blind = [*bare, *(digest for digest in captions if self._lacks(IMAGE, digest))]
        total, done, seen = sum(map(len, captions.values())), 0, 0
        size = min(self.config.captions_at_once, self.config.foundation_batch_size)
        for chunk in [*self._chunks(list(captions), size), *self._chunks(bare)]:
            with self._clock(_COMPLETION if chunk[0] in captions else _FEATURES):
                images = {digest: load_image(references[digest]) for digest in chunk}
            sources = [
                (item.key, Source(images[digest], digest, item.class_name))
                for digest in chunk
                for item in captions.get(digest, ())
            ]
            items, _ = self._complete(TEXT, sources)
            seen += sum(self._lacks(IMAGE, digest) for digest in images)
            self.store.put_many(items | self._encode(IMAGE, images))
            done += len(sources)
            self._report("captions", done, total)
            self._report("image features", seen, len(blind))

    def pass_over_generated_images(self) -> None:
        """Draw the images that are missing, and compute the features of all generated ones."""
        self._restore_generated_images()
        jobs = [
            (item, digest)
            for digest, items in self._missing_completions(IMAGE).items()
            for item in items
        ]
        texts = self._real_texts()
        done = 0
        for chunk in self._chunks(jobs, self.config.images_at_once):
            sources = [(item.key, Source(texts[d], d, item.class_name)) for item, d in chunk]
            items, contents = self._complete(IMAGE, sources)
            self.store.put_many(items | self._encode(IMAGE, contents))
            done += len(chunk)
            self._report("images", done, len(jobs))

    def _restore_generated_images(self) -> None:
        """Encode stored images that another encoder has seen; forget records of lost ones."""
        if self._retriever:  # its images are the pool's, encoded by now
            return
        keys = {item.key for item in self.wanted[IMAGE] if item}
        blind = {
            key: record
            for key, record in self.records.items()
            if key in keys and self._lacks(IMAGE, record.digest)
        }
        for chunk in self._chunks(list(blind)):
            with self._clock(_FEATURES):
                contents = {codec.content_key(blind[key].digest): blind[key] for key in chunk}
                found = self.store.get_many(contents)
                images = {
                    contents[name].digest: codec.image_from_bytes(value)
                    for name, value in found.items()
                }
            self.store.put_many(self._encode(IMAGE, images))
            for key in chunk:
                if blind[key].digest not in images:
                    del self.records[key]
                    self.in_store.discard(key)

    def pass_over_texts(self) -> None:
        """Compute the features of real and generated texts, those of like length together."""
        texts = self._real_texts()
        for record in self.records.values():
            if record.text is not None:
                texts[record.digest] = record.text
        # A caption made just now may be known from elsewhere: what is stored counts, to the bit.
        unknown = {digest for digest in texts if self._lacks(TEXT, digest)}
        with self._clock(_FEATURES):
            for encoding in self.encodings:
                encoding.look_up({TEXT: unknown})
        missing = [digest for digest in texts if self._lacks(TEXT, digest)]
        missing.sort(key=lambda digest: len(texts[digest]))
        done = 0
        for chunk in self._chunks(missing):
            self.store.put_many(self._encode(TEXT, {digest: texts[digest] for digest in chunk}))
            done += len(chunk)
            self._report("text features", done, len(missing))

    def pass_over_neighbours(self) -> None:
        """Take what is missing over from the nearest samples; all features are known by now."""
        retriever = self._retriever
        if retriever is None:
            return
        with self._clock(_COMPLETION):
            for modality in MODALITIES:
                missing = {
                    i.key: i for i in self.wanted[modality] if i and i.key not in self.records
                }
                wanted = list(missing.values())
                found = retriever.retrieve(modality, wanted, self.encoding.features)
                records = dict(zip(missing, found, strict=True))
                self.records |= records
                self.store.put_many({key: record.to_bytes() for key, record in records.items()})
                self._report(f"{modality} neighbours", len(wanted), len(wanted))

    def result(self) -> PreparedSet:
        """Assemble what has been found and made."""
        labels = torch.tensor([sample.label for sample in self.samples], dtype=torch.int64)
        real = {m: self.encoding.stack(m, self.digests[m], generated=False) for m in MODALITIES}
        completed, made, reused, similarity = {}, {}, {}, {}
        for modality in MODALITIES:
            keys = [item.key if item else None for item in self.wanted[modality]]
            records = [self.records[key] if key else None for key in keys]
            digests = [record.digest if record else None for record in records]
            completed[modality] = self.encoding.stack(modality, digests, generated=True)
            reused[modality] = sum(key in self.in_store for key in keys)
            made[modality] = sum(key is not None for key in keys) - reused[modality]
            source = SOURCE_OF[modality]
            similarity[modality] = (
                self._similarity({modality: digests, source: self.digests[source]})
                if self.models.comparable
                else recorded_typicality(records)
            )
        return PreparedSet(
            keys=tuple(sample.key for sample in self.samples),
            real=Batch(real, labels),
            completed=completed,
            similarity=similarity,
            pair_similarity=self._pair_similarity(),
            made=made,
            reused=reused,
            seconds=self.seconds,
        )

    def _pair_similarity(self) -> Tensor:
        if self.models.comparable:
            return self._similarity(self.digests)
        if self._retriever and self._asked:
            return self._retriever.typicality_of_pairs(self.samples, self.encoding.features)
        return torch.full((len(self.samples),), torch.nan)

    def _similarity(self, digests: Mapping[str, Sequence[str | None]]) -> Tensor:
        """Cosine (N,) of images and texts as the gate's encoders see them, NaN where one lacks."""
        rows = [
            row
            for row, pair in enumerate(zip(digests[IMAGE], digests[TEXT], strict=True))
            if None not in pair
        ]
        cosine = torch.full((len(self.samples),), torch.nan)
        if rows:
            image, text = (
                torch.stack([self.gate.features[m, str(digests[m][row])].pooled for row in rows])
                for m in (IMAGE, TEXT)
            )
            cosine[torch.tensor(rows)] = pair_similarity(image, text)
        return cosine

    def _complete(
        self, modality: str, sources: Sequence[tuple[str, Source]]
    ) -> tuple[dict[str, bytes], dict[str, Content]]:
        """Complete one chunk; return what to store and the generated contents by digest."""
        items: dict[str, bytes] = {}
        contents: dict[str, Content] = {}
        if not sources or not isinstance(self.completer, Completer):
            return items, contents
        with self._clock(_COMPLETION):
            completions = self.completer.complete(modality, [source for _, source in sources])
            for (key, _), completion in zip(sources, completions, strict=True):
                self.records[key], new = codec.completion_items(key, completion)
                items |= new
                contents[self.records[key].digest] = completion.content
        return items, contents

    def _encode(self, modality: str, contents: Mapping[str, Content]) -> dict[str, bytes]:
        """Compute what is missing of one chunk's features, by digest; return what to store."""
        items: dict[str, bytes] = {}
        with self._clock(_FEATURES):
            for encoding in self.encodings:
                items |= encoding.encode(modality, contents)
        return items

    def _lacks(self, modality: str, digest: str) -> bool:
        return any((modality, digest) not in encoding.features for encoding in self.encodings)

    def _missing_completions(self, modality: str) -> dict[str, list[Wanted]]:
        """Completions to be generated now, each once, by the digest of their source."""
        if self._retriever:
            return {}
        missing: dict[str, dict[str, Wanted]] = {}
        for item in self.wanted[modality]:
            if item and item.key not in self.records:
                missing.setdefault(item.source_digest, {})[item.key] = item
        return {digest: list(items.values()) for digest, items in missing.items()}

    def _all_digests(self, modality: str) -> set[str]:
        keys = {item.key for item in self.wanted[modality] if item}
        return set(self.holders[modality]) | {
            self.records[key].digest for key in keys if key in self.records
        }

    def _real_texts(self) -> dict[str, str]:
        return {digest: sample.text or "" for digest, sample in self.holders[TEXT].items()}

    def _chunks(self, items: list[_T], size: int = 0) -> Iterator[list[_T]]:
        size = size or self.config.foundation_batch_size
        for start in range(0, len(items), size):
            yield items[start : start + size]

    @contextmanager
    def _clock(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - start

    def _report(self, stage: str, done: int, total: int) -> None:
        if self.on_progress is not None and total:
            self.on_progress(stage, done, total)

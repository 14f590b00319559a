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
    Content,
    Source,
    completer_for,
)
from fedmvp_flwr.completion.plan import (
    Wanted,
    check_flags,
    check_gate,
    class_name_for,
    content_digest,
    wanted_completions,
)
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import pair_similarity
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.samples import IMAGE, MODALITIES, TEXT, Sample
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.features import Batch, ModalityBatch, ModalityFeatures, stack_modality
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
        on_progress: called with (stage, done, total) after each chunk.

    Raises:
        DataError: flags do not fit the samples, a sample has nothing to complete from, or an image
            cannot be decoded.
        ModelError: a model is missing, or the quality gate is on and the encoders share no space.
        StoreError: the store cannot be used.
    """
    work = _Preparation(samples, complete, models, store, config, class_names, on_progress)
    work.look_up()
    work.pass_over_images()
    work.pass_over_generated_images()
    work.pass_over_texts()
    return work.result()


def load_completion(
    sample: Sample,
    modality: str,
    *,
    models: FoundationModels,
    store: FeatureStore,
    config: RunConfig,
    class_names: Sequence[str] = (),
) -> "str | Image | None":
    """Return the stored completion of a sample's modality; None if there is none.

    The arguments are those of `prepare_samples`; nothing is computed and no model is loaded.
    """
    completer = completer_for(models, config)
    digest = content_digest(sample, SOURCE_OF[modality])
    if completer is None or digest is None:
        return None
    key = completer.key(modality, digest, class_name_for(sample, config, class_names))
    value = store.get_many([key]).get(key)
    if value is None:
        return None
    record = codec.CompletionRecord.from_bytes(value)
    if record.text is not None:
        return record.text
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
        on_progress: Progress | None,
    ) -> None:
        self.samples, self.models, self.store, self.config = samples, models, store, config
        self.on_progress = on_progress
        self.seconds = {_COMPLETION: 0.0, _FEATURES: 0.0}
        self.completer = completer_for(models, config)
        self.digests = {m: [content_digest(sample, m) for sample in samples] for m in MODALITIES}
        self.wanted = self._plan(complete, class_names)
        self.records: dict[str, codec.CompletionRecord] = {}
        self.in_store: set[str] = set()
        self.features: dict[tuple[str, str], ModalityFeatures] = {}
        self.widths: dict[str, tuple[int, int]] = {}

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

    def look_up(self) -> None:
        """Fetch every record and feature that the store has."""
        with self._clock(_FEATURES):
            self._look_up_records()
            self._look_up_features()

    def _look_up_records(self) -> None:
        keys = [item.key for m in MODALITIES for item in self.wanted[m] if item]
        for key, value in self.store.get_many(keys).items():
            self.records[key] = codec.CompletionRecord.from_bytes(value)
        self.in_store = set(self.records)

    def _look_up_features(self) -> None:
        by_key = {}
        for modality in MODALITIES:
            by_key[codec.widths_key(modality, self.models)] = (modality, "")
            for digest in self._all_digests(modality):
                by_key[self._features_key(modality, digest)] = (modality, digest)
        for key, value in self.store.get_many(by_key).items():
            modality, digest = by_key[key]
            if digest:
                self.features[modality, digest] = codec.features_from_bytes(value)
            else:
                self.widths[modality] = codec.widths_from_bytes(value)

    def pass_over_images(self) -> None:
        """Load each real image that is needed once: caption it, and compute its features."""
        captions = self._missing_completions(TEXT)
        references = {
            digest: sample
            for sample, digest in zip(self.samples, self.digests[IMAGE], strict=True)
            if digest is not None
        }
        bare = [d for d in references if d not in captions and (IMAGE, d) not in self.features]
        blind = len(bare) + sum((IMAGE, digest) not in self.features for digest in captions)
        total, done, before = sum(map(len, captions.values())), 0, len(self.features)
        for chunk in self._chunks([*captions, *bare]):
            with self._clock(_COMPLETION if chunk[0] in captions else _FEATURES):
                images = {digest: _load_image(references[digest]) for digest in chunk}
            sources = [
                (item.key, Source(images[digest], digest, item.class_name))
                for digest in chunk
                for item in captions.get(digest, ())
            ]
            items, _ = self._complete(TEXT, sources)
            self.store.put_many(items | self._encode(IMAGE, images))
            done += len(sources)
            self._report("captions", done, total)
            self._report("image features", len(self.features) - before, blind)

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
        for chunk in self._chunks(jobs):
            sources = [(item.key, Source(texts[d], d, item.class_name)) for item, d in chunk]
            items, contents = self._complete(IMAGE, sources)
            self.store.put_many(items | self._encode(IMAGE, contents))
            done += len(chunk)
            self._report("images", done, len(jobs))

    def _restore_generated_images(self) -> None:
        """Encode stored images that another encoder has seen; forget records of lost ones."""
        keys = {item.key for item in self.wanted[IMAGE] if item}
        blind = {
            key: record
            for key, record in self.records.items()
            if key in keys and (IMAGE, record.digest) not in self.features
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
        missing = [digest for digest in texts if (TEXT, digest) not in self.features]
        missing.sort(key=lambda digest: len(texts[digest]))
        done = 0
        for chunk in self._chunks(missing):
            self.store.put_many(self._encode(TEXT, {digest: texts[digest] for digest in chunk}))
            done += len(chunk)
            self._report("text features", done, len(missing))

    def result(self) -> PreparedSet:
        """Assemble what has been found and made."""
        labels = torch.tensor([sample.label for sample in self.samples], dtype=torch.int64)
        real = {m: self._stack(m, self.digests[m], generated=False) for m in MODALITIES}
        completed, made, reused = {}, {}, {}
        for modality in MODALITIES:
            keys = [item.key if item else None for item in self.wanted[modality]]
            digests = [self.records[key].digest if key else None for key in keys]
            completed[modality] = self._stack(modality, digests, generated=True)
            reused[modality] = sum(key in self.in_store for key in keys)
            made[modality] = sum(key is not None for key in keys) - reused[modality]
        similarity = {
            m: self._similarity({m: completed[m], SOURCE_OF[m]: real[SOURCE_OF[m]]})
            for m in MODALITIES
        }
        return PreparedSet(
            keys=tuple(sample.key for sample in self.samples),
            real=Batch(real, labels),
            completed=completed,
            similarity=similarity,
            pair_similarity=self._similarity(real),
            made=made,
            reused=reused,
            seconds=self.seconds,
        )

    def _similarity(self, pair: Mapping[str, ModalityBatch]) -> Tensor:
        if not self.models.comparable:
            return torch.full((len(self.samples),), torch.nan)
        cosine = pair_similarity(pair[IMAGE].pooled, pair[TEXT].pooled)
        return cosine.masked_fill(~(pair[IMAGE].present & pair[TEXT].present), torch.nan)

    def _stack(
        self, modality: str, digests: Sequence[str | None], *, generated: bool
    ) -> ModalityBatch:
        features = [self.features[modality, d] if d is not None else None for d in digests]
        if modality not in self.widths:
            self._encode(modality, {})
        return stack_modality(features, [generated] * len(features), *self.widths[modality])

    def _complete(
        self, modality: str, sources: Sequence[tuple[str, Source]]
    ) -> tuple[dict[str, bytes], dict[str, Content]]:
        """Complete one chunk; return what to store and the generated contents by digest."""
        items: dict[str, bytes] = {}
        contents: dict[str, Content] = {}
        if not sources or self.completer is None:
            return items, contents
        with self._clock(_COMPLETION):
            completions = self.completer.complete(modality, [source for _, source in sources])
            for (key, _), completion in zip(sources, completions, strict=True):
                self.records[key], new = codec.completion_items(key, completion)
                items |= new
                contents[self.records[key].digest] = completion.content
        return items, contents

    def _encode(self, modality: str, contents: Mapping[str, Content]) -> dict[str, bytes]:
        """Compute the features that are missing of one chunk, by digest; return what to store."""
        missing = [digest for digest in contents if (modality, digest) not in self.features]
        items: dict[str, bytes] = {}
        if not missing and modality in self.widths:
            return items
        with self._clock(_FEATURES):
            encoder = self.models.encoder(modality)
            if modality not in self.widths:
                self.widths[modality] = (encoder.token_width, encoder.pooled_width)
                key = codec.widths_key(modality, self.models)
                items[key] = codec.widths_to_bytes(self.widths[modality])
                self.store.put_many(items)
            encoded = encoder.encode([contents[digest] for digest in missing])
            for digest, features in zip(missing, encoded, strict=True):
                self.features[modality, digest] = features
                items[self._features_key(modality, digest)] = codec.features_to_bytes(features)
        return items

    def _missing_completions(self, modality: str) -> dict[str, list[Wanted]]:
        """Completions not yet made, each once, by the digest of their source."""
        missing: dict[str, dict[str, Wanted]] = {}
        for item in self.wanted[modality]:
            if item and item.key not in self.records:
                missing.setdefault(item.source_digest, {})[item.key] = item
        return {digest: list(items.values()) for digest, items in missing.items()}

    def _all_digests(self, modality: str) -> set[str]:
        real = {digest for digest in self.digests[modality] if digest is not None}
        keys = {item.key for item in self.wanted[modality] if item}
        return real | {self.records[key].digest for key in keys if key in self.records}

    def _real_texts(self) -> dict[str, str]:
        pairs = zip(self.digests[TEXT], self.samples, strict=True)
        return {d: sample.text for d, sample in pairs if d is not None and sample.text is not None}

    def _features_key(self, modality: str, digest: str) -> str:
        return codec.features_key(modality, digest, self.models)

    def _chunks(self, items: list[_T]) -> Iterator[list[_T]]:
        size = self.config.foundation_batch_size
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


def _load_image(sample: Sample) -> "Image":
    assert sample.image is not None
    try:
        return sample.image.load()
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Sample '{sample.key}': its image cannot be decoded ({error}). Repair or remove it."
        ) from error

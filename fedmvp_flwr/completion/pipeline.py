"""From samples with holes to frozen features: the one path of clients, server and command line.

Everything is looked up in the feature store first and written to it chunk by chunk, so that a
crash loses at most one chunk and a second run loads no model and decodes no image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion import codec
from fedmvp_flwr.completion.assembly import assemble
from fedmvp_flwr.completion.chunk_passes import (
    pass_over_generated_images,
    pass_over_images,
    pass_over_neighbours,
    pass_over_texts,
)
from fedmvp_flwr.completion.completers import SOURCE_OF, NamesCompletions
from fedmvp_flwr.completion.plan import class_name_for, content_digest, load_image
from fedmvp_flwr.completion.preparation_state import Work
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.registry import completer_for
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

if TYPE_CHECKING:
    from PIL.Image import Image


_PASSES = (pass_over_images, pass_over_generated_images, pass_over_texts, pass_over_neighbours)


@dataclass(frozen=True)
class Request:
    """Samples, and what is asked for of them.

    Attributes:
        samples: N samples; a modality that is None is a hole.
        complete: by modality, N flags: make this modality of the sample from its other one, also
            where the real one is there (test sets). Ignored if `completion` is `none`.
        class_names: in label order, used with `label-in-prompt` only; leave empty for test data,
            whose labels may never enter a prompt.
        pool: complete samples that `completion = "retrieval"` may take from; a sample of the pool
            is never completed by itself, and one with nothing to take from stays as it is.
    """

    samples: Sequence[Sample]
    complete: Mapping[str, Sequence[bool]]
    class_names: Sequence[str] = ()
    pool: Sequence[Sample] = ()


def prepare_sets(
    requests: Sequence[Request],
    *,
    models: FoundationModels,
    store: FeatureStore,
    config: RunConfig,
    on_progress: Progress | None = None,
) -> list[PreparedSet]:
    """Complete samples and compute their frozen features, each thing at most once ever.

    All images of all requests come before any text, so that no model of texts is in memory yet
    while images are encoded, which takes the most of it.

    Args:
        requests: at least one; what one makes, the later ones find.
        models: the frozen models; only those that have something to compute are loaded.
        store: where everything is kept.
        config: prompts, seed and batch size; the models know their own settings.
        on_progress: called with (stage, done, total) after each chunk.

    Raises:
        DataError: flags do not fit the samples, a sample has nothing to complete from, or an image
            cannot be decoded.
        ModelError: a model is missing, or the quality gate is on and the encoders share no space.
        StoreError: the store cannot be used.
    """
    works = [
        Work(r.samples, r.complete, models, store, config, r.class_names, r.pool, on_progress)
        for r in requests
    ]
    for one_pass in _PASSES:
        for work in works:
            work.look_up()
            one_pass(work)
    return [assemble(works.pop(0)) for _ in requests]


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
    """Prepare the samples of one request; see `Request` and `prepare_sets`."""
    request = Request(samples, complete, class_names, pool)
    return prepare_sets(
        [request], models=models, store=store, config=config, on_progress=on_progress
    )[0]


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

"""From samples with holes to frozen features: the one path of clients, server and command line.

Everything is looked up in the feature store first and written to it chunk by chunk, so that a
crash loses at most one chunk and a second run loads no model and decodes no image.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion.completer import Completer, NoCompleter
from fedmvp_flwr.completion.contents import (
    SOURCE_OF,
    CompletionRecord,
    content_digest,
    content_key,
    image_from_bytes,
    load_image,
)
from fedmvp_flwr.completion.passes import (
    pass_over_generated_images,
    pass_over_images,
    pass_over_neighbours,
    pass_over_texts,
)
from fedmvp_flwr.completion.preparation import Preparation
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import FoundationModels

if TYPE_CHECKING:
    from PIL.Image import Image


_PASSES = (pass_over_images, pass_over_generated_images, pass_over_texts, pass_over_neighbours)


def prepare(
    requests: Sequence[Request], store: FeatureStore, on_progress: Progress | None = None
) -> list[PreparedSet]:
    """Complete samples and compute their frozen features, each thing at most once ever.

    All images of all requests come before any text, so that no model of texts is in memory yet
    while images are encoded, which takes the most of it.

    Args:
        requests: what one makes, the later ones find.
        store: where everything is kept.
        on_progress: called with (stage, done, total) after each chunk.

    Raises:
        DataError: a sample has nothing to complete from, or an image cannot be decoded.
        ModelError: a model is missing, or the quality gate is on and the encoders share no space.
        StoreError: the store cannot be used.
    """
    preparations = [Preparation(request, store, on_progress) for request in requests]
    for one_pass in _PASSES:
        for preparation in preparations:
            preparation.look_up()
            one_pass(preparation)
    return [preparations.pop(0).result() for _ in requests]


def encode(samples: Sequence[Sample], models: FoundationModels, store: FeatureStore) -> PreparedSet:
    """Compute the frozen features of samples as they are; see `prepare`."""
    nothing = NoCompleter(models, CompletionSettings.model_validate({}))
    return prepare([Request(samples, {}, nothing)], store)[0]


def load_completion(
    completer: Completer,
    sample: Sample,
    modality: str,
    store: FeatureStore,
    class_names: Sequence[str] = (),
) -> "str | Image | None":
    """Return the stored completion of a sample's modality; None if there is none.

    Nothing is computed and no model is loaded; `class_names` are those of the `Request`.
    """
    digest = content_digest(sample, SOURCE_OF[modality])
    if digest is None or not completer.completes:
        return None
    class_name = completer.class_name(sample, class_names)
    key = completer.key(modality, digest, class_name, sample.key)
    value = store.get_many([key]).get(key) if key is not None else None
    if value is None:
        return None
    record = CompletionRecord.from_bytes(value)
    if record.text is not None:
        return record.text
    if record.digest in completer.pool_digests[modality]:
        return load_image(completer.pool[completer.pool_digests[modality].index(record.digest)])
    content = content_key(record.digest)
    found = store.get_many([content])
    return image_from_bytes(found[content]) if found else None

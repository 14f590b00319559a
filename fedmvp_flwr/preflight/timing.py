"""How long the frozen models of a run take, and what they leave in the store, on a few samples."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fedmvp_flwr.base.errors import FedMVPError, ModelError
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Sample, text_digest
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.contents import (
    SOURCE_OF,
    Completion,
    Source,
    completion_items,
    content_digest,
    load_image,
)
from fedmvp_flwr.completion.encoding import features_to_bytes
from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, GENERATOR_ROLES, FoundationModels
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.preflight.item_counts import COMPLETED, ENCODED, PROBE, encodings

TIMED_SAMPLES = 8
_BLANK_SIDE = 224  # pixels of an image that stands for those of the data
_PATIENCE = 30.0  # seconds for each of captioner and generator, after the first item

Widths = dict[str, tuple[int, int]]  # (token width, pooled width) by modality


@dataclass(frozen=True)
class Timing:
    """What a few samples took.

    Attributes:
        seconds: by kind of work, per item, the loading of the models left out.
        loading: seconds to load all models.
        bytes_each: by kind of work, what the store keeps per item.
        widths: (token width, pooled width) by modality.
    """

    seconds: dict[str, float]
    loading: float
    bytes_each: dict[str, float]
    widths: Widths

    def seconds_for(self, left: Mapping[str, int]) -> float:
        """Seconds until the store has what is left by kind of work, in one process from now on."""
        return self.loading + sum(left[kind] * self.seconds[kind] for kind in left)

    def bytes_for(self, left: Mapping[str, int]) -> float:
        """Bytes that the store will take in addition."""
        return sum(left[kind] * self.bytes_each[kind] for kind in left)


def time_models(
    samples: Sequence[Sample],
    models: FoundationModels,
    completion: CompletionSettings,
    draws_probe: bool,
    words: Sequence[str] = (),
) -> Timing:
    """Load the models that a run needs and time each on a few samples.

    Args:
        samples: from which the first few images and texts are taken.
        models: the frozen models.
        completion: the way of completion and its settings.
        draws_probe: whether images are generated for the probe.
        words: stand for the texts, if no sample has one; see `timed_sources`.

    Raises:
        ModelError: a model cannot be loaded, or does not work.
        DataError: an image cannot be decoded.
    """
    seconds: dict[str, float] = {}
    bytes_each: dict[str, float] = {}
    decoding, images = _timed(lambda: timed_sources(samples, IMAGE, words))
    given = {IMAGE: images, TEXT: timed_sources(samples, TEXT, words)}
    loading = 0.0
    widths: Widths = {}
    for kinds, encoders in encodings(models):
        for modality in MODALITIES:
            items = [source.content for source in given[modality]]
            spent, encoder = _timed(lambda: encoders.encoder(modality))  # noqa: B023 - called now
            loading += spent
            with _at_work(encoders, ENCODER_ROLES[modality]):
                encoder.encode(items[:1])  # the first call also warms up
                spent, features = _timed(lambda: encoder.encode(items))  # noqa: B023
            if encoders is models:
                widths[modality] = (encoder.token_width, encoder.pooled_width)
                spent += decoding if modality == IMAGE else 0.0
            seconds[kinds[modality]] = spent / len(items)
            sizes = [len(features_to_bytes(item)) for item in features]
            bytes_each[kinds[modality]] = sum(sizes) / len(sizes)
    way = completer_class(completion)
    # The probe's images are drawn, whatever fills the holes.
    maker = (way if way.makes() else FoundationCompleter)(models, completion)
    for modality in MODALITIES if way.makes() else (IMAGE,) if draws_probe else ():
        role, sources = GENERATOR_ROLES[modality], given[SOURCE_OF[modality]]
        if role in maker.roles:
            spent, _ = _timed(lambda: getattr(models, role))  # noqa: B023 - called now
            loading += spent
        with _at_work(models, role):
            each, made = _time_completions(maker, modality, sources)
        seconds[COMPLETED[modality]] = each
        sizes = [sum(map(len, completion_items("", item)[1].values())) for item in made]
        bytes_each[COMPLETED[modality]] = sum(sizes) / len(sizes)
    if draws_probe:  # each pair is drawn and encoded, and its features are kept
        encoded = ENCODED.values()
        seconds[PROBE] = seconds[COMPLETED[IMAGE]] + sum(seconds[kind] for kind in encoded)
        bytes_each[PROBE] = sum(bytes_each[kind] for kind in encoded)
    return Timing(seconds, loading, bytes_each, widths)


def _time_completions(
    completer: Completer, modality: str, sources: Sequence[Source]
) -> tuple[float, list[Completion]]:
    """Seconds of each completion by a loaded model; what is slow is timed on fewer sources."""
    first, made = _timed(lambda: completer.complete(modality, sources[:1]))  # also warms up
    fewer = sources[: int(_PATIENCE / first)] if first > 0 else sources
    if not fewer:
        return first, made
    spent, made = _timed(lambda: completer.complete(modality, fewer))
    return spent / len(fewer), made


def timed_sources(samples: Sequence[Sample], modality: str, words: Sequence[str]) -> list[Source]:
    """Return the first few images or texts of the samples.

    Args:
        samples: a split of the data.
        modality: "image" or "text".
        words: stand for the texts, if no sample has one.

    Returns:
        At least one; a single blank image, if no sample has an image.

    Raises:
        DataError: an image cannot be decoded.
    """
    chosen = [sample for sample in samples if sample.has(modality)][:TIMED_SAMPLES]
    if modality == IMAGE:
        from PIL import Image

        found = [Source(load_image(s), content_digest(s, IMAGE) or "") for s in chosen]
        blank = Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE))
        return found or [Source(blank, text_digest("blank"))]
    texts = [sample.text for sample in chosen if sample.text is not None] or list(words) or [""]
    return [Source(text, text_digest(text)) for text in texts[:TIMED_SAMPLES]]


def stand_in_notes(samples: Sequence[Sample]) -> list[str]:
    """Say which models are timed on something else than the data, and on what."""
    stand_ins = {IMAGE: "a blank image", TEXT: "descriptions of the classes"}
    return [
        f"No training sample has {what}: the models were timed on {stand_ins[modality]} instead."
        for modality, what in ((IMAGE, "an image"), (TEXT, "a text"))
        if not any(sample.has(modality) for sample in samples)
    ]


@contextmanager
def _at_work(models: FoundationModels, role: Role) -> Iterator[None]:
    """Raise a ModelError that names the model, for whatever its library raises."""
    try:
        yield
    except FedMVPError:
        raise
    except Exception as error:
        spec = models.spec(role)
        raise ModelError(
            f"{spec.key}={spec.text!r} does not work on the first samples: "
            f"{type(error).__name__}: {error}"
        ) from error


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result

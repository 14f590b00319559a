"""What the frozen models are timed on: a few samples of the data, or stand-ins for them."""

from collections.abc import Sequence

from fedmvp_flwr.base.samples import IMAGE, TEXT, Sample, text_digest
from fedmvp_flwr.completion.contents import Source, content_digest, load_image

TIMED_SAMPLES = 8
_BLANK_SIDE = 224  # pixels of an image that stands for those of the data


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
        found = [Source(load_image(s), content_digest(s, IMAGE) or "") for s in chosen]
        return found or [_blank()]
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


def _blank() -> Source:
    from PIL import Image

    return Source(Image.new("RGB", (_BLANK_SIDE, _BLANK_SIDE)), text_digest("blank"))

"""Held-out pairs with what was made of them: a few to look at, whatever their number.

Pictures are the one thing that is large here. Only those of the first pairs are kept, and no
larger than the page shows them, so that memory does not grow with the number of pairs.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fedmvp_flwr.base.samples import IMAGE, TEXT, Sample
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.completion.store import FeatureStore

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN = 24  # pairs to look at
THUMBNAIL = 160  # pixels


@dataclass(frozen=True)
class Pair:
    """A held-out pair and what was made of each side; None where nothing could be made.

    Attributes:
        sample: the real pair.
        image: the image made from the text, as `thumbnail` leaves it.
        text: the text made from the image.
    """

    sample: Sample
    image: "Image | None"
    text: str | None


def made_text(completer: Completer, sample: Sample, store: FeatureStore) -> str | None:
    """The text made from a pair's image; its made image is not decoded."""
    return cast("str | None", load_completion(completer, sample, TEXT, store))


def load_pair(completer: Completer, sample: Sample, store: FeatureStore) -> Pair:
    """A pair with both of its completions, from the store.

    Raises:
        DataError: the image of the pair that it was taken from cannot be decoded.
    """
    image = cast("Image | None", load_completion(completer, sample, IMAGE, store))
    small = None if image is None else thumbnail(image)
    return Pair(sample, small, made_text(completer, sample, store))


def thumbnail(image: "Image") -> "Image":
    """A copy in RGB of at most 160 pixels a side."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small

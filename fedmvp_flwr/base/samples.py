"""What a data set hands out: samples whose images are read only when they are needed."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE = "image"
TEXT = "text"
TRAIN, TEST, VALIDATION = "train", "test", "val"  # splits; models are selected on the last
MODALITIES = (IMAGE, TEXT)  # sorted: every dict of modalities is in this order


@runtime_checkable
class ImageRef(Protocol):
    """An image that is decoded on demand and known by its content beforehand."""

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the content, or of a recipe that determines it."""
        ...

    def load(self) -> "Image":
        """Return the decoded RGB image."""
        ...


@dataclass(frozen=True)
class Sample:
    """One sample of a data owner; a modality that is None is a hole.

    Attributes:
        key: unique within the data set, stable between runs.
        label: class index in [0, number of classes).
        image: the image, or None.
        text: the text, or None.
        owner: who it belongs to by nature (a hospital, a brand), where that is known.
    """

    key: str
    label: int
    image: ImageRef | None
    text: str | None
    owner: str | None = None

    def has(self, modality: str) -> bool:
        """Whether the modality ("image" or "text") is there."""
        return (self.image if modality == IMAGE else self.text) is not None

    @property
    def complete(self) -> bool:
        """Whether no modality is missing."""
        return self.image is not None and self.text is not None


class Dataset(Protocol):
    """A labelled image-text data set with named splits (at least "train" and "test")."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the labels."""
        ...

    @property
    def class_descriptions(self) -> tuple[str, ...]:
        """One public line per class (may repeat the name) that the server may generate from."""
        ...

    @property
    def splits(self) -> Mapping[str, Sequence[Sample]]:
        """The samples by split name."""
        ...


def text_digest(text: str) -> str:
    """Hex SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()

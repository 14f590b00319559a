"""What a frozen foundation model must offer, whatever library it comes from.

A new library is one file that implements one of these protocols and one line in `registry.py`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from fedmvp_flwr.base.features import ModalityFeatures

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageEncoder(Protocol):
    """Frozen image encoder with its own preprocessing."""

    token_width: int
    pooled_width: int

    def encode(self, items: Sequence["Image"]) -> list[ModalityFeatures]:
        """Encode RGB images of any size: float16 tokens (grid * grid, D) and pooled (P,)."""
        ...


class TextEncoder(Protocol):
    """Frozen text encoder with its own tokenizer."""

    token_width: int
    pooled_width: int

    def encode(self, items: Sequence[str]) -> list[ModalityFeatures]:
        """Encode texts: float16 tokens of their real length (T, D) and pooled (P,)."""
        ...


class Captioner(Protocol):
    """Frozen image-to-text model."""

    def caption(self, images: Sequence["Image"], prompt: str) -> list[str]:
        """Continue `prompt` for each image; return the new text only, stripped."""
        ...


class ImageGenerator(Protocol):
    """Frozen text-to-image model."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list["Image"]:
        """Return one RGB image per prompt; image i depends on prompt i and seed i alone."""
        ...

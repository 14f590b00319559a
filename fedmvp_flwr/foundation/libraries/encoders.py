"""What the encoders of all libraries have in common: tokens of the set number, measured widths."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features

if TYPE_CHECKING:
    from PIL.Image import Image

_BLANK = (32, 32)


class GridEncoder(ABC):
    """Image `Encoder`: patch tokens pooled to a square grid, a pooled embedding of length 1."""

    def __init__(self, context: LoadContext) -> None:
        """Measure the widths on a blank image; the model is loaded by then.

        Raises:
            ModelError: the model's token map is smaller than the grid.
        """
        from PIL import Image

        self._device, self._grid = context.device, context.settings.image_grid
        blank = self.encode([Image.new("RGB", _BLANK)])[0]
        self.token_width, self.pooled_width = blank.tokens.shape[1], len(blank.pooled)

    def encode(self, items: Sequence["Image"]) -> list[ModalityFeatures]:
        """Encode RGB images of any size: float16 tokens (grid * grid, D) and pooled (P,)."""
        if not items:
            return []
        pixels = self._prepare([image.convert("RGB") for image in items])
        with torch.inference_mode():
            maps, pooled = self._look(pixels.to(self._device))
            return to_features(pool_to_grid(maps, self._grid), pooled)

    @abstractmethod
    def _prepare(self, images: Sequence["Image"]) -> Tensor:
        """Make RGB images the model's input (N, 3, H, W)."""

    @abstractmethod
    def _look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last token maps (N, D, rows, columns) and the pooled embeddings (N, P)."""


class WordEncoder(ABC):
    """Text `Encoder`: tokens of the real length of a text, a pooled embedding of length 1."""

    def __init__(self, context: LoadContext) -> None:
        """Measure the widths on an empty text; the model is loaded by then."""
        self._device, self._max_tokens = context.device, context.settings.text_max_tokens
        empty = self.encode([""])[0]
        self.token_width, self.pooled_width = empty.tokens.shape[1], len(empty.pooled)

    def encode(self, items: Sequence[str]) -> list[ModalityFeatures]:
        """Encode texts: float16 tokens of their real length (T, D) and pooled (P,)."""
        if not items:
            return []
        with torch.inference_mode():
            tokens, pooled, lengths = self._read(list(items))
        # No special tokens and an empty text: the padding is the only token there is.
        return to_features(tokens, pooled, lengths.clamp(1, self._max_tokens).tolist())

    @abstractmethod
    def _read(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (N, L, D), pooled embeddings (N, P) and real lengths (N,)."""

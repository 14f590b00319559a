"""What the models learn from: images with words for them, drawn anew at every step."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MEAN, _STD = 0.5, 0.5  # images are scaled to [-1, 1], as in diffusers
PIXEL_MEAN, PIXEL_STD = [_MEAN] * 3, [_STD] * 3

Index = NDArray[np.int64]


class Bank(Protocol):
    """N images of one size with texts, and perhaps with attributes.

    Everything random about the texts comes from the generator that is passed.
    """

    @property
    def images(self) -> NDArray[np.uint8]:
        """(N, S, S, 3) uint8, possibly memory-mapped."""
        ...

    @property
    def attributes(self) -> Tensor:
        """(N, A) int64 value indices of the attributes; A may be 0."""
        ...

    @property
    def attribute_sizes(self) -> tuple[int, ...]:
        """Number of values of each of the A attributes."""
        ...

    def texts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """One text per image, as the data words them: what the encoder learns."""
        ...

    def caption_pairs(self, index: Index, chance: np.random.Generator) -> list[tuple[str, str]]:
        """Pairs of a prompt and what follows it: what the captioner learns.

        Returns:
            k B pairs for B images: one of each image, then the next of each image, and so on.
        """
        ...

    def prompts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """One prompt per image, at times empty: what the generator learns."""
        ...


def pixels_of(bank: Bank, index: Index, device: torch.device | str = "cpu") -> Tensor:
    """(B, 3, S, S) float pixels in [-1, 1]."""
    images = torch.from_numpy(np.ascontiguousarray(bank.images[index])).to(device)
    return (images.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD

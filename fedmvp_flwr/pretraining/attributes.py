"""Heads that tell attributes from the mean image token; dropped after the training."""

from collections.abc import Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttributeHeads(nn.ModuleList):
    """One linear head per attribute; none if the bank names no attributes.

    Args:
        width: of the image tokens.
        sizes: number of values of each attribute.
    """

    def __init__(self, width: int, sizes: Sequence[int]) -> None:
        super().__init__(nn.Linear(width, size) for size in sizes)

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy over the attributes; 0 without any.

        Args:
            tokens: (B, T, D) image tokens.
            targets: (B, A) value indices.
        """
        pooled = tokens.mean(dim=1)
        if not len(self):
            return pooled.new_zeros(())
        losses = [F.cross_entropy(head(pooled), targets[:, i]) for i, head in enumerate(self)]
        return reduce(torch.add, losses) / len(self)

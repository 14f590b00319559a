"""Dropout that is cheap on a CPU, where torch draws one random word for each element."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEPS = 256  # the chance of dropping is rounded to so many parts: one random byte decides
_WORD = torch.int64


def dropout(values: Tensor, chance: float) -> Tensor:
    """Drop elements by chance and scale the others up, so that the mean stays.

    Draws from torch's global generator. On a CPU the chance is rounded to 1/256.

    Args:
        values: any shape.
        chance: in [0, 1).
    """
    if values.device.type != "cpu":
        return F.dropout(values, chance)
    dropped = round(chance * _STEPS)
    if not dropped:
        return values
    words = torch.empty(-(-values.numel() // _WORD.itemsize), dtype=_WORD)
    words.random_(torch.iinfo(_WORD).min, None)  # all 64 bits
    kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= dropped
    return values * kept.to(values.dtype).mul_(_STEPS / (_STEPS - dropped))


class Dropout(nn.Module):
    """`dropout` in training, nothing otherwise.

    Args:
        chance: in [0, 1).
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, values: Tensor) -> Tensor:
        """Drop elements, in training."""
        return dropout(values, self.chance) if self.training else values

"""Valid tokens alone: what is padded or absent is not computed.

A packed tensor (N, d) holds the N valid tokens of B samples in one row each; a `TokenLayout` knows
whose they are. Linear layers, norms and feed-forward networks, where nearly all of the arithmetic
is, run on packed tokens; attention alone needs them side by side (`pad`).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenLayout:
    """Where the rows of a packed tensor belong.

    Attributes:
        samples: B.
        sample: (N,) whose token it is, in [0, B).
        slot: (N,) which one of that sample, counted from 0 without a gap.
        counts: (B,) tokens of each sample, 0 for one that has none.
    """

    samples: int
    sample: Tensor
    slot: Tensor
    counts: Tensor

    @classmethod
    def of_mask(cls, mask: Tensor) -> tuple["TokenLayout", Tensor]:
        """The layout of the valid tokens of a mask (B, T), and their (N,) places in [0, T)."""
        sample, place = mask.nonzero(as_tuple=True)
        slot = (mask.cumsum(dim=1) - 1)[sample, place]
        return cls(len(mask), sample, slot, mask.sum(dim=1)), place

    @cached_property
    def length(self) -> int:
        """Most tokens of a sample, at least 1."""
        return max(int(self.counts.max()), 1) if self.samples else 1

    @cached_property
    def valid(self) -> Tensor:
        """(B, length) bool, where `pad` puts a token."""
        return torch.arange(self.length, device=self.counts.device) < self.counts[:, None]

    @cached_property
    def flat(self) -> Tensor:
        """(N,) places in the flattened padded tensor."""
        return self.sample * self.length + self.slot

    def pad(self, packed: Tensor) -> Tensor:
        """Packed tokens (N, d) side by side, (B, length, d); zero where there is none."""
        width = packed.shape[1]
        empty = packed.new_zeros(self.samples * self.length, width)
        return empty.index_copy(0, self.flat, packed).view(self.samples, self.length, width)

    def pack(self, padded: Tensor) -> Tensor:
        """The inverse of `pad`."""
        return padded.flatten(0, 1).index_select(0, self.flat)

    def mean(self, packed: Tensor) -> Tensor:
        """Mean of each sample's tokens, (B, d); zero for a sample without any."""
        sums = packed.new_zeros(self.samples, packed.shape[1]).index_add(0, self.sample, packed)
        return sums / self.counts.clamp_min(1)[:, None]

    def followed_by(self, other: "TokenLayout") -> "TokenLayout":
        """The layout of both streams' tokens, of each sample those of this one first."""
        return TokenLayout(
            self.samples,
            torch.cat([self.sample, other.sample]),
            torch.cat([self.slot, other.slot + self.counts[other.sample]]),
            self.counts + other.counts,
        )

    def among(self, samples: Tensor) -> tuple[Tensor, "TokenLayout"]:
        """Rows of the tokens of some samples, a flag (B,) each, and their layout by themselves."""
        rows = samples[self.sample].nonzero().flatten()
        number = samples.cumsum(dim=0) - 1
        counts = self.counts[samples]
        sample, slot = number[self.sample[rows]], self.slot[rows]
        return rows, TokenLayout(len(counts), sample, slot, counts)

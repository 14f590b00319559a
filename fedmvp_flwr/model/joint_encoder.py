"""The joint encoder: frozen tokens of both modalities in, one unit vector per sample out."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.model.attention import AttentionBlock, TransformerLayer

_LONGEST_WAVE = 10_000.0  # of the sinusoidal positions, Vaswani et al. 2017
_EXPANSION = 2  # of the feed-forward networks; 4 is usual, 2 halves the message


class JointEncoder(nn.Module):
    """J of the paper (section 3.2), lean and aware of what is missing.

    Linear adapters bring the frozen tokens of each modality to width d; type and position
    embeddings are added. The first stream attends to itself, then each stream attends to the
    other one, then transformer layers run over both together. The mean over the valid tokens,
    projected and normalised, is the joint vector; a modality's vector is its pooled embedding
    through an adapter and the same projection.

    Args:
        token_widths: width D of the frozen tokens of exactly two modalities, by name.
        pooled_widths: width P of the frozen pooled embeddings, by name.
        width: d, divisible by heads.
        layers: transformer layers over both streams.
        heads: attention heads.
        dropout: in [0, 1).

    Raises:
        ValueError: not exactly two modalities, or different names in the two mappings.
    """

    def __init__(
        self,
        token_widths: Mapping[str, int],
        pooled_widths: Mapping[str, int],
        width: int = 128,
        layers: int = 1,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if len(token_widths) != 2 or set(token_widths) != set(pooled_widths):
            raise ValueError(
                f"expected the same two modalities, got {sorted(token_widths)} and "
                f"{sorted(pooled_widths)}."
            )
        self.names = tuple(sorted(token_widths))
        self.width = width
        self.token_adapters = nn.ModuleDict(
            {name: _adapter(token_widths[name], width) for name in self.names}
        )
        self.pooled_adapters = nn.ModuleDict(
            {name: _adapter(pooled_widths[name], width) for name in self.names}
        )
        self.types = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(width)) for name in self.names}
        )
        self.position_scale = nn.Parameter(torch.full((1,), 0.1))
        self.self_attention = AttentionBlock(width, heads, dropout)
        self.cross_attention = nn.ModuleDict(
            {name: AttentionBlock(width, heads, dropout) for name in self.names}
        )
        self.layers = nn.ModuleList(
            TransformerLayer(width, heads, _EXPANSION, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, width)

    def forward(self, batch: Batch) -> Tensor:
        """Joint unit vectors (B, d); a masked token or modality has no influence."""
        first, second = self.names
        streams = {name: self._embed(name, batch.modalities[name].tokens) for name in self.names}
        masks = {name: batch.modalities[name].mask for name in self.names}
        streams[first] = self.self_attention(streams[first], streams[first], masks[first])
        crossed = [
            self.cross_attention[first](streams[first], streams[second], masks[second]),
            self.cross_attention[second](streams[second], streams[first], masks[first]),
        ]
        tokens = torch.cat(crossed, dim=1)
        mask = torch.cat([masks[first], masks[second]], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        tokens = self.norm(tokens) * mask[:, :, None]
        mean = tokens.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp_min(1)
        return F.normalize(self.projection(mean), dim=1)

    def modality_vectors(self, batch: Batch) -> dict[str, Tensor]:
        """Unit vectors (B, d) of each modality alone; rows that are not present mean nothing."""
        return {
            name: F.normalize(
                self.projection(
                    self.norm(self.pooled_adapters[name](batch.modalities[name].pooled))
                ),
                dim=1,
            )
            for name in self.names
        }

    def _embed(self, name: str, tokens: Tensor) -> Tensor:
        positions = sinusoidal_positions(tokens.shape[1], self.width).to(tokens)
        embedded: Tensor = self.token_adapters[name](tokens) + self.types[name]
        return embedded + self.position_scale * positions


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Position embeddings (length, width) of any length, without parameters."""
    position = torch.arange(length)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(_LONGEST_WAVE) / width))
    angles = position * frequency
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


def _adapter(source: int, width: int) -> nn.Module:
    # Frozen features come in any scale: normalise before the only layer that sees them raw.
    return nn.Sequential(nn.LayerNorm(source), nn.Linear(source, width))

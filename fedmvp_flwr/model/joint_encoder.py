"""The joint encoder: frozen tokens of both modalities in, one unit vector per sample out."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.features import Batch


class Attention(nn.Module):
    """Multi-head attention of one stream on a (possibly absent) other one.

    Args:
        width: d, divisible by heads.
        heads: number of heads.
        dropout: dropout of the attention weights, in [0, 1).
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor, context_mask: Tensor) -> Tensor:
        """Attend from queries (B, Q, d) to context (B, T, d) where context_mask (B, T) is True.

        Returns:
            (B, Q, d); zero for a sample whose context is masked as a whole.
        """
        some = context_mask.any(dim=1)  # softmax over nothing is NaN: attend to all, then erase
        mask = (context_mask | ~some[:, None])[:, None, None, :]
        key, value = self.key_value(context).chunk(2, dim=-1)
        attended = F.scaled_dot_product_attention(
            self._split(self.query(queries)),
            self._split(key),
            self._split(value),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
        )
        merged: Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return merged * some[:, None, None]

    def _split(self, values: Tensor) -> Tensor:
        batch, length, width = values.shape
        return values.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


class AttentionBlock(nn.Module):
    """Pre-norm residual attention, from one stream to itself or to another one."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)

    def forward(self, queries: Tensor, context: Tensor, context_mask: Tensor) -> Tensor:
        """Add to queries (B, Q, d) what they find in context (B, T, d)."""
        found: Tensor = self.attention(self.norm(queries), self.context_norm(context), context_mask)
        return queries + found


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: masked self-attention and a feed-forward network."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attend = AttentionBlock(width, heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
        )

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Transform tokens (B, T, d) where mask (B, T) is True."""
        attended: Tensor = self.attend(tokens, tokens, mask)
        transformed: Tensor = attended + self.feed_forward(attended)
        return transformed


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
        widths: D of the frozen tokens and P of the pooled embeddings of two modalities, by name.
        width: d, divisible by heads.
        layers: transformer layers over both streams.
        heads: attention heads.
        dropout: in [0, 1).
    """

    def __init__(
        self,
        widths: Mapping[str, Sequence[int]],
        width: int,
        layers: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.names = tuple(sorted(widths))
        self.width = width
        self.token_adapters = nn.ModuleDict(
            {name: _adapter(widths[name][0], width) for name in self.names}
        )
        self.pooled_adapters = nn.ModuleDict(
            {name: _adapter(widths[name][1], width) for name in self.names}
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

"""The joint encoder: frozen tokens of both modalities in, one unit vector per sample out."""

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.features import Batch, ModalityBatch
from fedmvp_flwr.model.dropout import Dropout
from fedmvp_flwr.model.packing import TokenLayout


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
        self.dropout = Dropout(dropout)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(
        self, queries: Tensor, layout: TokenLayout, context: Tensor, context_layout: TokenLayout
    ) -> Tensor:
        """Attend from packed queries (N, d) to the same sample's packed context (M, d).

        Returns:
            (N, d). Every sample has context.
        """
        query = self._split(layout.pad(self.query(queries)))
        key, value = map(self._split, context_layout.pad(self.key_value(context)).chunk(2, dim=-1))
        absent = torch.where(context_layout.valid, 0.0, -torch.inf).repeat_interleave(self.heads, 0)
        scale = 1 / math.sqrt(query.shape[2])
        scores = torch.baddbmm(absent[:, None], query, key.transpose(1, 2), alpha=scale)
        shares = self.dropout(scores.softmax(dim=2))
        attended = (shares @ value).unflatten(0, (layout.samples, self.heads))
        merged: Tensor = self.out(layout.pack(attended.transpose(1, 2).flatten(2)))
        return merged

    def _split(self, values: Tensor) -> Tensor:
        batch, length, width = values.shape
        heads = values.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
        return heads.flatten(0, 1)


class AttentionBlock(nn.Module):
    """Pre-norm residual attention, from one stream to itself or to another one."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.context_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)

    def forward(
        self, queries: Tensor, layout: TokenLayout, context: Tensor, context_layout: TokenLayout
    ) -> Tensor:
        """Add to packed queries (N, d) what they find in the packed context (M, d)."""
        found: Tensor = self.attention(
            self.norm(queries), layout, self.context_norm(context), context_layout
        )
        return queries + found


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: self-attention and a feed-forward network."""

    def __init__(self, width: int, heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        self.attend = AttentionBlock(width, heads, dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(expansion * width, width),
        )

    def forward(self, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """Transform packed tokens (N, d)."""
        attended: Tensor = self.attend(tokens, layout, tokens, layout)
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
        one, other = self.names
        (first, layout), (second, other_layout) = (
            self._embed(name, batch.modalities[name]) for name in self.names
        )
        first = self.self_attention(first, layout, first, layout)
        count = len(first)
        tokens, both = torch.cat([first, second]), layout.followed_by(other_layout)
        pairs = (layout.counts > 0) & (other_layout.counts > 0)
        rows, layout = layout.among(pairs)
        other_rows, other_layout = other_layout.among(pairs)
        if len(rows):  # a modality alone has nothing to attend to
            first, second = first.index_select(0, rows), second.index_select(0, other_rows)
            crossed = [
                self.cross_attention[one](first, layout, second, other_layout),
                self.cross_attention[other](second, other_layout, first, layout),
            ]
            places = torch.cat([rows, other_rows + count])
            tokens = tokens.index_copy(0, places, torch.cat(crossed))
        for layer in self.layers:
            tokens = layer(tokens, both)
        return F.normalize(self.projection(both.mean(self.norm(tokens))), dim=1)

    def modality_vectors(self, batch: Batch) -> dict[str, Tensor]:
        """Unit vectors (B, d) of each modality alone; rows that are not present mean nothing."""
        adapted = torch.cat(
            [self.pooled_adapters[name](batch.modalities[name].pooled) for name in self.names]
        )
        vectors = F.normalize(self.projection(self.norm(adapted)), dim=1)
        return dict(zip(self.names, vectors.tensor_split(len(self.names)), strict=True))

    def _embed(self, name: str, modality: ModalityBatch) -> tuple[Tensor, TokenLayout]:
        """The valid tokens in width d, packed, and where they belong."""
        layout, place = TokenLayout.of_mask(modality.mask)
        tokens = modality.tokens[layout.sample, place]
        embedded: Tensor = self.token_adapters[name](tokens.to(self.position_scale))
        positions = sinusoidal_positions(modality.mask.shape[1], self.width).to(embedded)
        return embedded + self.types[name] + self.position_scale * positions[place], layout


def sinusoidal_positions(length: int, width: int) -> Tensor:
    """Position embeddings (length, width) of any length, without parameters."""
    position = torch.arange(length)[:, None]
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(_LONGEST_WAVE) / width))
    angles = position * frequency
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :width]


def _adapter(source: int, width: int) -> nn.Module:
    # Frozen features come in any scale: normalise before the only layer that sees them raw.
    return nn.Sequential(nn.LayerNorm(source), nn.Linear(source, width))

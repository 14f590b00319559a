"""Attention that honours masks, whatever is missing."""

import torch.nn.functional as F
from torch import Tensor, nn


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

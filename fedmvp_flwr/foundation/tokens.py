"""From a frozen model's outputs to features: token maps pooled to a grid, texts cut to length."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.features import ModalityFeatures


def pool_to_grid(maps: Tensor, grid: int) -> Tensor:
    """Average token maps (N, D, rows, columns) to (N, grid * grid, D), row by row.

    Raises:
        ModelError: the maps have fewer rows or columns than the grid.
    """
    rows, columns = int(maps.shape[-2]), int(maps.shape[-1])
    if min(rows, columns) < grid:
        raise ModelError(
            f"image-grid={grid}: the image encoder's token map has only {(rows, columns)} rows and "
            "columns; choose at most that many."
        )
    pooled = torch.nn.functional.adaptive_avg_pool2d(maps.float(), grid)
    return pooled.flatten(2).transpose(1, 2)


def patch_maps(tokens: Tensor, rows: int, columns: int) -> tuple[Tensor, int]:
    """Arrange the patch tokens of a sequence as maps, without class and register tokens.

    Args:
        tokens: (N, L, D): tokens that stand for no patch come first, then the patches row by row.
        rows: rows of patches that the image was cut into.
        columns: columns of patches.

    Returns:
        Maps (N, D, rows, columns) and the number of leading tokens. A hierarchical model merges
        patches: if there are fewer than rows * columns, they are taken as a square without leading
        tokens.

    Raises:
        ModelError: the tokens form no map.
    """
    length = tokens.shape[1]
    leading = length - rows * columns
    if leading < 0:
        side = math.isqrt(length)
        if side * side != length:
            raise ModelError(
                f"The image encoder's {length} tokens are no map of {rows} x {columns} patches."
            )
        rows, columns, leading = side, side, 0
    patches = tokens[:, leading:]
    return patches.transpose(1, 2).unflatten(2, (rows, columns)), leading


def mean_over(tokens: Tensor, mask: Tensor) -> Tensor:
    """Mean (N, D) of the tokens (N, T, D) where the mask (N, T) is True; 0 where it never is."""
    weights = mask.to(tokens.dtype)[:, :, None]
    return (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(1)


def unit(vectors: Tensor) -> Tensor:
    """The vectors (N, P) in float32 at length 1."""
    return torch.nn.functional.normalize(vectors.float(), dim=-1)


def to_features(
    tokens: Tensor, pooled: Tensor, lengths: Sequence[int] | None = None
) -> list[ModalityFeatures]:
    """Split a batch of tokens (N, T, D) and embeddings (N, P) into float16 items on the CPU."""
    tokens, pooled = tokens.to("cpu", torch.float16), pooled.to("cpu", torch.float16)
    lengths = [tokens.shape[1]] * len(tokens) if lengths is None else lengths
    return [
        ModalityFeatures(tokens[row, :length].clone(), pooled[row].clone())
        for row, length in enumerate(lengths)
    ]

"""Token maps and token sequences become features of the set size."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.tokens import mean_over, patch_maps, pool_to_grid, to_features


def test_maps_are_averaged_row_by_row():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert pool_to_grid(maps, 2)[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pool_to_grid(maps, 4)[0, :, 0].tolist() == list(range(16))
    with pytest.raises(ModelError, match=r"image-grid=5: .*only \(4, 4\) rows and columns"):
        pool_to_grid(maps, 5)


def test_leading_tokens_stand_for_no_patch():
    tokens = torch.arange(8.0).reshape(1, 8, 1)
    maps, leading = patch_maps(tokens, 2, 3)
    assert leading == 2
    assert maps[0, 0].tolist() == [[2, 3, 4], [5, 6, 7]]


def test_merged_patches_are_a_square():
    maps, leading = patch_maps(torch.arange(4.0).reshape(1, 4, 1), 4, 4)
    assert (maps.shape, leading) == ((1, 1, 2, 2), 0)
    with pytest.raises(ModelError, match="3 tokens are no map of 4 x 4 patches"):
        patch_maps(torch.zeros(1, 3, 1), 4, 4)


def test_the_mean_is_over_what_the_mask_shows():
    tokens = torch.tensor([[[1.0], [3.0], [9.0]], [[1.0], [1.0], [1.0]]])
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    assert mean_over(tokens, mask)[:, 0].tolist() == [2.0, 0.0]


def test_features_are_half_precision_and_as_long_as_the_text():
    one, two = to_features(torch.ones(2, 5, 3), torch.ones(2, 4), [2, 5])
    assert (one.tokens.shape, two.tokens.shape) == ((2, 3), (5, 3))
    assert one.tokens.dtype == one.pooled.dtype == torch.float16

import math

import pytest
import torch

from fedmvp_flwr.completion.gating import (
    ACCEPT_ALL,
    calibrate_threshold,
    gate,
    pair_similarity,
)


def test_cosine_of_known_vectors():
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    text = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, -1.0], [1.0, 0.0]])
    similarity = pair_similarity(image.half(), text.half())
    assert similarity.tolist() == pytest.approx([1.0, 0.0, -1.0, 0.0], abs=1e-3)


def test_with_many_pairs_the_threshold_is_an_order_statistic():
    values = torch.arange(99).flip(0) / 100
    assert calibrate_threshold(values, 0.05) == pytest.approx(0.04)  # the 5th smallest of 99
    assert calibrate_threshold(values, 0.5) == pytest.approx(0.49)
    nineteen = torch.arange(19) / 100
    assert calibrate_threshold(nineteen, 0.05) == 0.0  # the smallest, exactly enough pairs


@pytest.mark.parametrize("count", [1, 2, 3, 10, 18, 19, 40, 200])
@pytest.mark.parametrize("quantile", [0.05, 0.2])
def test_real_pairs_are_rejected_no_more_often_than_asked(count, quantile):
    generator = torch.Generator().manual_seed(0)
    draws = 0.3 + 0.1 * torch.randn(800, count + 1, generator=generator)
    rejected = sum(
        not gate(row[-1], calibrate_threshold(row[:-1], quantile)).item() for row in draws
    )
    assert rejected / len(draws) <= quantile + 0.03


def test_few_pairs_leave_a_margin_below_the_smallest():
    one = calibrate_threshold(torch.tensor([0.4]), 0.05)
    assert 0.05 < one < 0.3
    three = calibrate_threshold(torch.tensor([0.40, 0.41, 0.42]), 0.05)
    assert one < three < 0.40
    wide = calibrate_threshold(torch.tensor([0.1, 0.8]), 0.05)
    assert wide < 0.1


def test_threshold_follows_the_pairs_up_and_down():
    pairs = torch.tensor([0.3, 0.5, 0.4])
    shifted = calibrate_threshold(pairs + 0.2, 0.05)
    assert shifted == pytest.approx(calibrate_threshold(pairs, 0.05) + 0.2, abs=1e-6)
    assert calibrate_threshold(pairs.flip(0), 0.05) == calibrate_threshold(pairs, 0.05)


@pytest.mark.parametrize("pairs", [[], [math.nan, math.nan]])
def test_without_pairs_everything_passes(pairs):
    assert calibrate_threshold(torch.tensor(pairs), 0.05) == ACCEPT_ALL


def test_quantile_zero_accepts_everything():
    assert calibrate_threshold(torch.tensor([0.9, 0.8]), 0.0) == ACCEPT_ALL


def test_gate_refuses_what_lies_below_and_what_is_not_there():
    similarity = torch.tensor([0.1, 0.2, 0.3, math.nan])
    assert gate(similarity, 0.2).tolist() == [False, True, True, False]

import math

import pytest
import torch

from fedmvp_flwr.completion.neighbours import NOBODY, nearest, typicality


def slow_nearest(queries, candidates, excluded):
    found = []
    for query, barred in zip(queries, excluded, strict=True):
        best, cosine = NOBODY, -math.inf
        for place, candidate in enumerate(candidates):
            if place == barred:
                continue
            value = float(query @ candidate / (query.norm() * candidate.norm()))
            if value > cosine:
                best, cosine = place, value
        found.append((best, cosine if best != NOBODY else math.nan))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_against_a_slow_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(9, 4, generator=generator)
    candidates = torch.randn(5, 4, generator=generator)
    excluded = torch.randint(-1, 5, (9,), generator=generator)
    index, cosine = nearest(queries, candidates, excluded)
    for mine, value, (place, oracle) in zip(
        index.tolist(), cosine.tolist(), slow_nearest(queries, candidates, excluded), strict=True
    ):
        assert mine == place
        assert value == pytest.approx(oracle, abs=1e-6)


def test_scale_does_not_matter_and_the_first_of_equals_wins():
    candidates = torch.tensor([[0.0, 1.0], [2.0, 0.0], [9.0, 0.0]])
    index, cosine = nearest(torch.tensor([[3.0, 0.1]]), candidates, torch.tensor([NOBODY]))
    assert index.tolist() == [1]
    assert cosine[0] < 1
    index, _ = nearest(torch.tensor([[3.0, 0.1]]), candidates, torch.tensor([1]))
    assert index.tolist() == [2]


def test_nothing_left_to_take():
    one = torch.ones(1, 2)
    index, cosine = nearest(one, one, torch.tensor([0]))
    assert index.tolist() == [NOBODY]
    assert cosine.isnan().all()
    index, cosine = nearest(one, torch.zeros(0, 2), torch.tensor([NOBODY]))
    assert index.tolist() == [NOBODY]
    assert nearest(torch.zeros(0, 2), one, torch.zeros(0, dtype=torch.int64))[0].shape == (0,)


def test_typicality_counts_the_references_below():
    references = torch.tensor([0.5, math.nan, 0.1, 0.9])
    cosines = torch.tensor([0.0, 0.1, 0.6, 1.0, math.nan])
    strangers = torch.zeros(5, dtype=torch.bool)
    values = typicality(cosines, references, strangers)
    assert values.tolist()[:4] == [1 / 4, 2 / 4, 3 / 4, 1.0]
    assert values[4].isnan()
    assert typicality(torch.tensor([0.3]), torch.tensor([]), strangers[:1]).tolist() == [1.0]


def test_a_reference_counts_once():
    references = torch.tensor([0.5, 0.1, 0.9, 0.9])
    values = typicality(references, references, torch.ones(4, dtype=torch.bool))
    assert values.tolist() == [2 / 4, 1 / 4, 1.0, 1.0]


def test_typicality_of_exchangeable_samples_is_uniform():
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(2000, 20, generator=generator)
    stranger = torch.zeros(1, dtype=torch.bool)
    values = torch.stack([typicality(row[:1], row[1:], stranger)[0] for row in draws])
    for quantile in (0.1, 0.5, 0.9):
        assert float((values <= quantile).float().mean()) == pytest.approx(quantile, abs=0.04)

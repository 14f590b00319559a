import numpy as np
import pytest
import torch
from scipy import linalg

from fedmvp_flwr.quality.distances import frechet_distance, kernel_distance


def draw(count, width, seed, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return shift + scale * torch.randn(count, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("count", "width"), [(60, 5), (8, 5), (5, 12)])
def test_frechet_against_matrix_square_roots(count, width):
    first, second = draw(count, width, 0), draw(count + 3, width, 1, 0.5, 2.0)
    means = first.mean(0), second.mean(0)
    covariances = [np.cov(x.numpy(), rowvar=False) for x in (first, second)]
    root = linalg.sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(width)).real
    oracle = float((means[0] - means[1]).square().sum())
    oracle += np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(oracle, abs=2e-4)


def test_frechet_of_known_gaussians():
    first, second = draw(20000, 3, 0), draw(20000, 3, 1, shift=2.0, scale=3.0)
    assert frechet_distance(first, second) == pytest.approx(3 * 4 + 3 * (3 - 1) ** 2, rel=0.03)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))


def test_a_rotation_changes_no_distance():
    first, second = draw(30, 4, 0), draw(30, 4, 1, 1.0)
    turn, _ = torch.linalg.qr(draw(4, 4, 2))
    for distance in (frechet_distance, kernel_distance):
        value = distance(first @ turn, second @ turn)
        assert value == pytest.approx(distance(first, second), rel=1e-9)


def slow_kernel_distance(first, second):
    scale = float(torch.cat([first, second]).square().mean().sqrt())
    first, second = (first / scale).tolist(), (second / scale).tolist()

    def kernel(a, b):
        return (sum(x * y for x, y in zip(a, b, strict=True)) / len(a) + 1) ** 3

    def mean(items, others):
        pairs = [(a, b) for i, a in enumerate(items) for j, b in enumerate(others) if i != j]
        return sum(kernel(a, b) for a, b in pairs) / len(pairs)

    return mean(first, first) + mean(second, second) - 2 * mean(first, second)


def test_kernel_distance_against_loops():
    first, second = draw(6, 3, 0), draw(6, 3, 1, 0.7)
    oracle = slow_kernel_distance(first, second)
    assert kernel_distance(first, second) == pytest.approx(oracle)
    assert kernel_distance(7 * first, 7 * second) == pytest.approx(oracle)


def test_kernel_distance_is_unbiased_for_few_samples():
    values = [kernel_distance(draw(10, 4, s), draw(10, 4, 1000 + s)) for s in range(300)]
    assert abs(float(np.mean(values))) < 3 * float(np.std(values)) / 300**0.5
    assert kernel_distance(draw(10, 4, 0), draw(10, 4, 1, 2.0)) > 1


def test_kernel_distance_is_unbiased_for_pairs_of_the_same_classes():
    # Five samples of each of four classes on both sides, all of one distribution per class.
    centres = 3 * torch.eye(4, dtype=torch.float64).repeat(5, 1)
    values = [
        kernel_distance(centres + draw(20, 4, s), centres + draw(20, 4, 1000 + s))
        for s in range(300)
    ]
    assert abs(float(np.mean(values))) < 3 * float(np.std(values)) / 300**0.5


def test_too_few_or_unlike_features():
    for distance in (frechet_distance, kernel_distance):
        with pytest.raises(ValueError, match="at least 2"):
            distance(draw(1, 3, 0), draw(1, 3, 0))
    with pytest.raises(ValueError, match="one width"):
        frechet_distance(draw(4, 3, 0), draw(5, 2, 0))
    with pytest.raises(ValueError, match="expected pairs"):
        kernel_distance(draw(4, 3, 0), draw(5, 3, 0))

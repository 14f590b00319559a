import numpy as np
import pytest
import torch
from scipy import linalg

from fedmvp_flwr.quality.distances import (
    LEAST_FOR_FRECHET,
    LEAST_FOR_KID,
    class_distances,
    frechet_distance,
    kernel_distance,
    overall_distances,
)
from fedmvp_flwr.quality.measure import _per_class


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


def small(count, seed, shift=0.0):
    return shift + torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def measured(count):
    return {
        name
        for name, value in class_distances(small(count, 0), small(count, 1)).items()
        if value is not None
    }


def test_a_class_is_measured_only_where_it_has_enough_pairs():
    assert set(class_distances(small(1, 0), small(1, 1))) == {"frechet", "frechet-of-real", "kid"}
    assert measured(1) == measured(LEAST_FOR_KID - 1) == set()
    assert measured(LEAST_FOR_KID) == measured(LEAST_FOR_FRECHET - 1) == {"kid"}
    assert measured(LEAST_FOR_FRECHET) == {"frechet", "frechet-of-real", "kid"}


def test_distances_of_a_class_are_those_of_its_pairs():
    made, real = small(21, 0, shift=1.0), small(21, 1)
    values = class_distances(made, real)
    assert values["kid"] == kernel_distance(made, real)
    assert values["frechet"] == frechet_distance(made[0::2], real[1::2])
    assert values["frechet-of-real"] == frechet_distance(real[0::2], real[1::2])
    assert values["frechet"] > values["frechet-of-real"]
    assert values["kid"] > class_distances(small(21, 2), real)["kid"]


def test_overall_halves_have_every_other_pair_of_each_class():
    labels = torch.tensor([0, 1] * 6 + [1])
    made, real = small(13, 0), small(13, 1)
    real[labels == 1] += 9  # halves of one class each would be far apart
    values = overall_distances(made, real, labels)
    assert values["frechet-of-real"] < 20
    assert values["kid"] == pytest.approx(kernel_distance(made, real))
    order = labels.argsort(stable=True)
    one, other = order[0::2], order[1::2]
    assert values["frechet"] == frechet_distance(made[one], real[other])
    assert values["kid-of-real"] == kernel_distance(real[one[:6]], real[other])


def test_each_class_has_its_own_rows():
    names = ["b", "a", "b"] * 19
    rows = [{"key": str(i), "class": name, "rouge-l": i / 57} for i, name in enumerate(names)]
    made, real = small(57, 0), small(57, 1)
    made[[i for i, name in enumerate(names) if name == "a"]] += 3
    groups = _per_class(rows, made, real)
    assert list(groups) == ["a", "b"]
    for name, group in groups.items():
        own = [i for i, other in enumerate(names) if other == name]
        assert group["pairs"] == len(own)
        assert group["rouge-l"] == pytest.approx(sum(own) / len(own) / 57)
        assert group["kid"] == kernel_distance(made[own], real[own])
    assert groups["a"]["kid"] > groups["b"]["kid"]
    assert groups["b"]["frechet"] is not None
    assert groups["a"]["frechet"] is None  # nineteen pairs

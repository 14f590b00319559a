"""Distances of made to true images, of all pairs and of the classes that have enough of them."""

import pytest
import torch

from fedmvp_flwr.quality.distances import frechet_distance, kernel_distance
from fedmvp_flwr.quality.image_distances import (
    LEAST_FOR_FRECHET,
    LEAST_FOR_KID,
    class_distances,
    overall_distances,
)
from fedmvp_flwr.quality.measure import _per_class


def draw(count, seed, shift=0.0):
    return shift + torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def measured(count):
    return {
        name
        for name, value in class_distances(draw(count, 0), draw(count, 1)).items()
        if value is not None
    }


def test_a_class_is_measured_only_where_it_has_enough_pairs():
    assert set(class_distances(draw(1, 0), draw(1, 1))) == {"frechet", "frechet-of-real", "kid"}
    assert measured(1) == measured(LEAST_FOR_KID - 1) == set()
    assert measured(LEAST_FOR_KID) == measured(LEAST_FOR_FRECHET - 1) == {"kid"}
    assert measured(LEAST_FOR_FRECHET) == {"frechet", "frechet-of-real", "kid"}


def test_distances_of_a_class_are_those_of_its_pairs():
    made, real = draw(21, 0, shift=1.0), draw(21, 1)
    values = class_distances(made, real)
    assert values["kid"] == kernel_distance(made, real)
    assert values["frechet"] == frechet_distance(made[0::2], real[1::2])
    assert values["frechet-of-real"] == frechet_distance(real[0::2], real[1::2])
    assert values["frechet"] > values["frechet-of-real"]
    assert values["kid"] > class_distances(draw(21, 2), real)["kid"]


def test_overall_halves_have_every_other_pair_of_each_class():
    labels = torch.tensor([0, 1] * 6 + [1])
    made, real = draw(13, 0), draw(13, 1)
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
    made, real = draw(57, 0), draw(57, 1)
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

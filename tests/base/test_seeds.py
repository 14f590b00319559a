import numpy as np
import pytest
import torch

from fedmvp_flwr.base.seeds import numpy_generator, seed_for, torch_generator


def test_a_seed_is_the_same_everywhere():
    # Written down once: another value would change every split, mask and completion.
    assert seed_for(0, "mask", 3) == 7896365417624578171
    assert 0 <= seed_for(2**40, "x") < 2**63


def test_what_is_no_unicode_counts_as_it_is_escaped():
    assert seed_for(0, "tr\udce9") == seed_for(0, r"tr\udce9") != seed_for(0, "tr")


def test_every_part_counts():
    seeds = [
        seed_for(0),
        seed_for(1),
        seed_for(0, "a"),
        seed_for(0, "b"),
        seed_for(0, "a", "b"),
        seed_for(0, "b", "a"),
        seed_for(0, "ab"),
        seed_for(0, 1),
        seed_for(0, "1"),
        seed_for(0, 1, 2),
        seed_for(0, 12),
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_numbers_of_numpy_are_numbers(kind):
    assert seed_for(0, "mask", kind(3)) == seed_for(0, "mask", 3)


def test_generators_are_fresh_and_follow_the_seed():
    draws = [float(numpy_generator(5, "a").random()) for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0] != float(numpy_generator(6, "a").random())
    assert torch.equal(
        torch.rand(3, generator=torch_generator(5, "a")),
        torch.rand(3, generator=torch_generator(5, "a")),
    )


def test_the_global_generators_are_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    torch_generator(3, "a")
    assert torch.equal(torch.rand(1), expected)

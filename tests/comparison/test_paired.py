import numpy as np
import pytest

from fedmvp_flwr.comparison.paired import paired_difference, seed_difference


def _coin(share, count, seed):
    return np.random.default_rng(seed).random(count) < share


def test_mean_and_seeds_are_those_of_a_loop():
    ours = [_coin(0.8, 50, seed) for seed in range(3)]
    theirs = [_coin(0.5, 50, 10 + seed) for seed in range(3)]
    found = paired_difference(ours, theirs)
    by_hand = []
    for a, b in zip(ours, theirs, strict=True):
        by_hand.append(sum(int(x) - int(y) for x, y in zip(a, b, strict=True)) / 50)
    assert found.per_seed == pytest.approx(by_hand)
    assert found.mean == pytest.approx(sum(by_hand) / 3)
    assert found.low < found.mean < found.high


def test_the_interval_is_that_of_a_slow_bootstrap():
    ours = [_coin(0.8, 60, seed) for seed in range(4)]
    theirs = [_coin(0.6, 60, 10 + seed) for seed in range(4)]
    gains = np.array(ours, float) - np.array(theirs, float)
    generator = np.random.default_rng(1)
    means = []
    for _ in range(4000):
        seeds, samples = generator.integers(4, size=4), generator.integers(60, size=60)
        means.append(gains[seeds][:, samples].mean())
    found = paired_difference(ours, theirs)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.02)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.02)


def test_equal_methods_differ_by_nothing():
    same = [_coin(0.7, 40, seed) for seed in range(3)]
    found = paired_difference(same, same)
    assert (found.mean, found.low, found.high, found.sign) == (0, 0, 0, 0)


def test_the_sign_is_that_of_the_whole_interval():
    right, wrong = [np.ones(30, bool)] * 2, [np.zeros(30, bool)] * 2
    assert paired_difference(right, wrong).sign == 1
    assert paired_difference(wrong, right).sign == -1
    assert paired_difference([_coin(0.5, 30, 0)], [_coin(0.5, 30, 1)]).sign == 0


def test_shared_samples_leave_a_wider_interval_than_independent_ones():
    gain = np.arange(100) < 30
    nothing = np.zeros(100, bool)
    shared = paired_difference([gain] * 5, [nothing] * 5)
    own = paired_difference([gain] * 4 + [gain[:-1]], [nothing] * 4 + [nothing[:-1]])
    assert shared.high - shared.low > 1.5 * (own.high - own.low)


def test_test_sets_of_different_sizes():
    ours, theirs = [np.ones(10, bool), np.ones(20, bool)], [np.zeros(10, bool), np.zeros(20, bool)]
    found = paired_difference(ours, theirs)
    assert (found.low, found.mean, found.high) == (1, 1, 1)


def test_seeds_alone():
    found = seed_difference([0.9, 0.8, 0.7], [0.5, 0.5, 0.5])
    assert found.mean == pytest.approx(0.3)
    assert found.low >= 0.2 - 1e-9
    assert found.high <= 0.4 + 1e-9


def test_it_is_the_same_each_time():
    ours, theirs = [_coin(0.8, 30, 0)] * 2, [_coin(0.5, 30, 1)] * 2
    assert paired_difference(ours, theirs) == paired_difference(ours, theirs)

import pytest
import torch

from fedmvp_flwr.quality.agreement import (
    UNKNOWN,
    apply_probe,
    by_class,
    cross_fitted_classes,
    fit_probe,
)


def clusters(count, seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = 4 * torch.eye(3, width)
    return centres[labels] + torch.randn(count, width, generator=generator), labels


def test_the_probe_is_a_ridge_regression():
    from sklearn.linear_model import Ridge

    features, labels = clusters(20)
    centred = features - features.mean(0)
    strength = 0.1 * float((centred @ centred.T).diagonal().mean())
    oracle = Ridge(alpha=strength).fit(features.numpy(), torch.eye(3)[labels].numpy())
    weights = fit_probe(features, labels, 3)
    assert torch.allclose(weights[:-1].T, torch.tensor(oracle.coef_).double(), atol=1e-5)
    assert torch.allclose(weights[-1], torch.tensor(oracle.intercept_).double(), atol=1e-5)


def test_separate_clusters_are_told_apart():
    features, labels = clusters(60)
    fresh, truth = clusters(30, seed=1)
    predicted = apply_probe(fit_probe(features, labels, 3), fresh)
    assert float((predicted == truth).float().mean()) > 0.9


def test_completions_are_judged_by_probes_that_did_not_see_their_sample():
    features, labels = clusters(60)
    real, same = cross_fitted_classes(features, labels, features, 3)
    assert torch.equal(real, same)
    wrong = features.roll(1, dims=0)  # the completion shows the class of the sample before
    _, other = cross_fitted_classes(features, labels, wrong, 3)
    assert float((other == labels).float().mean()) < 0.1
    assert float((other == labels.roll(1)).float().mean()) > 0.9


def test_labels_without_pattern_are_not_learnt_by_heart():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 100, generator=generator)
    labels = torch.randint(2, (300,), generator=generator)
    real, _ = cross_fitted_classes(features, labels, features, 2)
    assert float((real == labels).float().mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("order", ["cyclic", "sorted", "shuffled"])
def test_the_order_of_the_samples_hides_no_class_from_the_probe(order):
    # Five classes in turn: folds by position would be classes, none of which its probe has seen.
    labels = torch.arange(40) % 5
    if order == "sorted":
        labels = labels.sort().values
    if order == "shuffled":
        labels = labels[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    noise = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    features = 6 * torch.eye(5, 6)[labels] + noise
    real, _ = cross_fitted_classes(features, labels, features, 5)
    assert float((real == labels).float().mean()) > 0.9


def test_a_class_of_one_sample_is_not_judged():
    features, labels = clusters(12)
    labels[4] = 3
    real, other = cross_fitted_classes(features, labels, features, 4)
    assert (real == UNKNOWN).tolist() == (other == UNKNOWN).tolist() == [i == 4 for i in range(12)]


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_each_class_is_spread_over_the_parts(parts):
    labels = torch.randint(4, (50,), generator=torch.Generator().manual_seed(0))
    dealt = by_class(labels, parts)
    assert int(dealt.min()) >= 0
    assert int(dealt.max()) < parts
    for label in range(4):
        counts = torch.bincount(dealt[labels == label], minlength=parts)
        assert int(counts.max() - counts.min()) <= 1

import math

import pytest
import torch

from fedmvp_flwr import multimodal_contrastive_matching_loss, representation_aligned_margin_loss


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def vectors():
    return random(6, 5, seed=1), random(6, 5, seed=2)


@pytest.fixture
def entropies():
    return random(6, seed=3).abs(), random(6, seed=4).abs()


@pytest.fixture
def mask():
    return torch.tensor([True, False, True, True, False, True])


def slow_mcm(joint, modality, temperature, valid):
    """NT-Xent row by row, on the unit vectors of the valid samples."""
    vectors = [joint[i] / joint[i].norm() for i in valid]
    vectors += [modality[i] / modality[i].norm() for i in valid]
    count, total = len(valid), 0.0
    for row in range(2 * count):
        partner = (row + count) % (2 * count)
        positive = math.exp(float(vectors[row] @ vectors[partner]) / temperature)
        everyone = sum(
            math.exp(float(vectors[row] @ vectors[other]) / temperature)
            for other in range(2 * count)
            if other != row
        )
        total -= math.log(positive / everyone)
    return total / (2 * count)


def slow_ram(joint, modality, joint_ce, modality_ce, valid):
    total = 0.0
    for i in valid:
        if modality_ce[i] < joint_ce[i]:
            total += math.sqrt(sum(float(d) ** 2 for d in joint[i] - modality[i]))
    return total / len(valid)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_mcm_equals_a_slow_loop(vectors, temperature):
    loss = multimodal_contrastive_matching_loss(*vectors, temperature)
    assert float(loss) == pytest.approx(slow_mcm(*vectors, temperature, range(6)))


def test_mcm_has_the_temperature_of_the_paper(vectors):
    assert float(multimodal_contrastive_matching_loss(*vectors)) == pytest.approx(
        slow_mcm(*vectors, 0.1, range(6))
    )


def test_mcm_of_masked_samples_equals_a_slow_loop(vectors, mask):
    loss = multimodal_contrastive_matching_loss(*vectors, mask=mask)
    assert float(loss) == pytest.approx(slow_mcm(*vectors, 0.1, [0, 2, 3, 5]))


def test_mcm_of_matching_orthogonal_pairs():
    basis = torch.eye(4, dtype=torch.float64)
    expected = -math.log(math.exp(10) / (math.exp(10) + 2 * 3))  # 3 negatives of either kind
    loss = multimodal_contrastive_matching_loss(basis, basis, 0.1)
    assert float(loss) == pytest.approx(expected)


def test_mcm_of_indistinguishable_vectors_is_chance():
    same = torch.ones(4, 3, dtype=torch.float64)
    loss = multimodal_contrastive_matching_loss(same, same)
    assert float(loss) == pytest.approx(math.log(2 * 4 - 1))


def test_mcm_falls_when_pairs_match(vectors):
    joint, modality = vectors
    swapped = modality.roll(1, dims=0)
    matched = multimodal_contrastive_matching_loss(joint, joint + 0.1 * modality)
    mismatched = multimodal_contrastive_matching_loss(joint, joint.roll(1, 0) + 0.1 * swapped)
    assert matched < mismatched


def test_mcm_does_not_depend_on_lengths_or_on_order(vectors):
    joint, modality = vectors
    expected = multimodal_contrastive_matching_loss(joint, modality)
    order = torch.tensor([4, 1, 0, 5, 3, 2])
    for again in (
        multimodal_contrastive_matching_loss(3 * joint, 1e-3 * modality),
        multimodal_contrastive_matching_loss(joint[order], modality[order]),
        multimodal_contrastive_matching_loss(modality, joint),
    ):
        torch.testing.assert_close(again, expected)


@pytest.mark.parametrize("valid", [[], [3]])
def test_mcm_needs_two_valid_samples(vectors, valid):
    joint, modality = (v.requires_grad_() for v in vectors)
    mask = torch.zeros(6, dtype=torch.bool)
    mask[valid] = True
    loss = multimodal_contrastive_matching_loss(joint, modality, mask=mask)
    loss.backward()
    assert loss.shape == ()
    assert float(loss.detach()) == 0.0
    assert not joint.grad.any()
    assert not modality.grad.any()


def test_mcm_of_an_empty_batch_is_0():
    empty = torch.zeros(0, 3, requires_grad=True)
    multimodal_contrastive_matching_loss(empty, empty).backward()
    assert empty.grad.shape == (0, 3)


def test_ram_equals_a_slow_loop(vectors, entropies):
    loss = representation_aligned_margin_loss(*vectors, *entropies)
    assert float(loss) > 0
    assert float(loss) == pytest.approx(slow_ram(*vectors, *entropies, range(6)))


def test_ram_of_masked_samples_equals_a_slow_loop(vectors, entropies, mask):
    loss = representation_aligned_margin_loss(*vectors, *entropies, mask)
    assert float(loss) == pytest.approx(slow_ram(*vectors, *entropies, [0, 2, 3, 5]))


def test_ram_of_a_known_case():
    joint = torch.tensor([[3.0, 4.0], [9.0, 9.0], [1.0, 0.0]])
    modality = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    joint_ce = torch.tensor([1.0, 1.0, 1.0])
    modality_ce = torch.tensor([0.5, 2.0, 1.0])  # better, worse, equal
    loss = representation_aligned_margin_loss(joint, modality, joint_ce, modality_ce)
    assert float(loss) == pytest.approx(5.0 / 3)


def test_ram_does_not_depend_on_the_order(vectors, entropies):
    order = torch.tensor([4, 1, 0, 5, 3, 2])
    values = [*vectors, *entropies]
    torch.testing.assert_close(
        representation_aligned_margin_loss(*[value[order] for value in values]),
        representation_aligned_margin_loss(*values),
    )


def test_ram_sends_no_gradient_through_its_gate(vectors, entropies):
    values = [value.requires_grad_() for value in (*vectors, *entropies)]
    representation_aligned_margin_loss(*values).backward()
    assert values[0].grad.any()
    assert torch.equal(values[0].grad, -values[1].grad)
    assert values[2].grad is None
    assert values[3].grad is None


def test_gradients_are_finite_where_the_vectors_are_equal(vectors, entropies):
    joint = vectors[0].clone().requires_grad_()
    modality = vectors[0].clone().requires_grad_()
    better = torch.zeros(6)
    loss = representation_aligned_margin_loss(joint, modality, better + 1, better)
    loss = loss + multimodal_contrastive_matching_loss(joint, modality)
    loss.backward()
    assert torch.isfinite(joint.grad).all()
    assert torch.isfinite(modality.grad).all()


def test_gradients_are_finite_at_zero_vectors():
    zero = torch.zeros(4, 3, requires_grad=True)
    loss = multimodal_contrastive_matching_loss(zero, zero) + representation_aligned_margin_loss(
        zero, zero, torch.ones(4), torch.zeros(4)
    )
    loss.backward()
    assert torch.isfinite(zero.grad).all()


def test_ram_without_a_valid_sample_is_0_with_a_gradient(vectors, entropies):
    joint, modality = (v.requires_grad_() for v in vectors)
    nobody = torch.zeros(6, dtype=torch.bool)
    loss = representation_aligned_margin_loss(joint, modality, *entropies, nobody)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not joint.grad.any()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_masked_has_no_influence(vectors, entropies, mask, value):
    clean = [v.clone().requires_grad_() for v in vectors]
    dirty = [v.clone() for v in vectors]
    ce = [e.clone() for e in entropies]
    for tensor in (*dirty, *ce):
        tensor[~mask] = value
    dirty = [v.requires_grad_() for v in dirty]
    expected = representation_aligned_margin_loss(*clean, *entropies, mask)
    expected = expected + multimodal_contrastive_matching_loss(*clean, mask=mask)
    loss = representation_aligned_margin_loss(*dirty, *ce, mask)
    loss = loss + multimodal_contrastive_matching_loss(*dirty, mask=mask)
    expected.backward()
    loss.backward()
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(dirty, clean, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
        assert not ours.grad[~mask].any()


def test_gradients_agree_with_finite_differences(vectors, entropies, mask):
    joint, modality = (v.requires_grad_() for v in vectors)
    assert torch.autograd.gradcheck(
        lambda a, b: multimodal_contrastive_matching_loss(a, b, 0.5, mask), (joint, modality)
    )
    assert torch.autograd.gradcheck(
        lambda a, b: representation_aligned_margin_loss(a, b, *entropies, mask), (joint, modality)
    )


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan")])
def test_bad_temperatures_are_refused(vectors, temperature):
    with pytest.raises(ValueError, match="temperature"):
        multimodal_contrastive_matching_loss(*vectors, temperature)


@pytest.mark.parametrize(
    ("joint", "modality"), [((4, 3), (4, 2)), ((4, 3), (5, 3)), ((4,), (4,)), ((2, 4, 3),) * 2]
)
def test_shapes_that_do_not_fit_are_refused(joint, modality):
    joint, modality = torch.ones(joint), torch.ones(modality)
    with pytest.raises(ValueError, match="shape"):
        multimodal_contrastive_matching_loss(joint, modality)
    ce = torch.ones(joint.shape[:1])
    with pytest.raises(ValueError, match="shape"):
        representation_aligned_margin_loss(joint, modality, ce, ce)


@pytest.mark.parametrize(
    "mask", [torch.ones(5, dtype=torch.bool), torch.ones(6), torch.ones(6, 1, dtype=torch.bool)]
)
def test_masks_that_do_not_fit_are_refused(vectors, entropies, mask):
    with pytest.raises(ValueError, match="mask"):
        multimodal_contrastive_matching_loss(*vectors, mask=mask)
    with pytest.raises(ValueError, match="mask"):
        representation_aligned_margin_loss(*vectors, *entropies, mask)


@pytest.mark.parametrize("name", ["joint_ce", "modality_ce"])
def test_entropies_that_do_not_fit_are_refused(vectors, entropies, name):
    given = dict(zip(("joint_ce", "modality_ce"), entropies, strict=True))
    given[name] = torch.ones(6, 1)
    with pytest.raises(ValueError, match=name):
        representation_aligned_margin_loss(*vectors, **given)

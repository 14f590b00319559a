from dataclasses import replace

import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.model.views import show_views, view_shares

COUNT = 6000


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def with_generated(batch, **flags):
    modalities = {
        name: replace(values, generated=flags.get(name, values.generated))
        for name, values in batch.modalities.items()
    }
    return Batch(modalities, batch.labels)


def shares(image=1.0, text=1.0):
    """The same share of each of the three classes."""
    return {"image": torch.full((3,), image), "text": torch.full((3,), text)}


def seen(shown):
    """How often the image alone, the text alone, and both are shown."""
    image, text = (shown.modalities[name].present for name in ("image", "text"))
    return [float(flags.float().mean()) for flags in (image & ~text, text & ~image, image & text)]


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, (0.25, 0.5)), (1.0, (0.7, 0.0)), (0.5, (0.475, 0.25))]
)
def test_shares_follow_what_is_really_there(share, expected):
    found = view_shares(RunConfig.of().method, torch.tensor([share]))
    assert [float(f) for f in found] == pytest.approx(expected)


def test_shares_may_be_fixed():
    method = RunConfig.of(views="fixed:0.2,0.3").method
    real, generated = view_shares(method, torch.tensor([0.0, 1.0]))
    assert real.tolist() == pytest.approx([0.2, 0.2])
    assert generated.tolist() == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_generated_text_is_shown_as_often_as_its_class_needs(make_batch, share):
    batch = with_generated(make_batch(COUNT), text=torch.ones(COUNT, dtype=torch.bool))
    shown = show_views(batch, RunConfig.of().method, shares(text=share), rng())
    real, generated = 0.7 * share + 0.25 * (1 - share), 0.5 * (1 - share)
    assert seen(shown) == pytest.approx([real, generated, 1 - real - generated], abs=0.025)


def test_the_shares_are_those_of_the_class_and_of_what_was_generated(make_batch):
    batch = with_generated(make_batch(COUNT), image=torch.ones(COUNT, dtype=torch.bool))
    real = {"image": torch.tensor([0.0, 1.0, 1.0]), "text": torch.zeros(3)}
    shown = show_views(batch, RunConfig.of().method, real, rng())
    alone = shown.modalities["image"].present & ~shown.modalities["text"].present
    rare = batch.labels == 0
    assert float(alone[rare].float().mean()) == pytest.approx(0.5, abs=0.04)
    assert not alone[~rare].any()


def test_fixed_shares_may_leave_a_generated_half_never_alone(make_batch):
    batch = with_generated(make_batch(COUNT), text=torch.ones(COUNT, dtype=torch.bool))
    method = RunConfig.of(views="fixed:0.7,0").method
    assert seen(show_views(batch, method, shares(text=0.0), rng())) == pytest.approx(
        [0.7, 0.0, 0.3], abs=0.025
    )


def test_one_modality_of_a_real_pair_is_hidden_as_often_as_asked(make_batch):
    shown = show_views(make_batch(COUNT), RunConfig.of(modality_dropout=0.3).method, {}, rng())
    assert seen(shown) == pytest.approx([0.15, 0.15, 0.7], abs=0.02)


def test_something_always_stays_and_a_single_modality_is_left_alone(make_batch):
    flags = torch.randint(2, (3, 500), generator=rng(1), dtype=torch.bool)
    image_there, text_there = flags[0] | ~flags[1], flags[1]
    batch = make_batch(500, present={"image": image_there, "text": text_there})
    batch = with_generated(batch, image=image_there & flags[2], text=text_there & ~flags[2])
    before = torch.stack([m.present for m in batch.modalities.values()])
    method = RunConfig.of(modality_dropout=0.99, views="fixed:0.5,0.5").method
    shown = show_views(batch, method, shares(), rng())
    after = torch.stack([m.present for m in shown.modalities.values()])
    assert torch.equal(after.any(dim=0), before.any(dim=0))
    assert not (after & ~before).any()
    single = before.sum(dim=0) == 1
    assert torch.equal(after[:, single], before[:, single])
    assert (after.sum(dim=0)[~single] == 1).sum() > 0.9 * int((~single).sum())


def test_nothing_is_hidden_where_nothing_is_asked(make_batch):
    batch = with_generated(make_batch(50), text=torch.arange(50) < 20)
    method = RunConfig.of(modality_dropout=0, views="fixed:0,0").method
    for name, values in show_views(batch, method, shares(), rng()).modalities.items():
        assert torch.equal(values.mask, batch.modalities[name].mask)


def test_the_same_generator_gives_the_same_views(make_batch):
    batch = with_generated(make_batch(200), text=torch.ones(200, dtype=torch.bool))
    first, again, other = (
        show_views(batch, RunConfig.of().method, shares(text=0.5), rng(seed)) for seed in (0, 0, 1)
    )
    flags = [shown.modalities["text"].present for shown in (first, again, other)]
    assert torch.equal(flags[0], flags[1])
    assert not torch.equal(flags[0], flags[2])

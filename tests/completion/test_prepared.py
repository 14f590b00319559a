"""Holes are filled by accepted completions, and by those alone."""

import pytest
import torch

from fedmvp_flwr.base.features import Batch, ModalityBatch
from fedmvp_flwr.completion.prepared import PreparedSet

THERE = {"image": [True, False, True, True], "text": [True, True, False, False]}


def modality(present, length, start, generated=False):
    """Rows whose numbers tell where they come from: `start` and the row; (N, length, 2) tokens."""
    present = torch.tensor(present)
    rows = torch.arange(len(present), dtype=torch.float) + start
    mask = present[:, None].expand(-1, length)
    tokens = rows[:, None, None].expand(-1, length, 2) * mask[:, :, None]
    return ModalityBatch(
        tokens, mask, rows[:, None] * present[:, None], present, present & generated
    )


@pytest.fixture
def prepared():
    """Four samples; every image is completed with 2 tokens (of 3), every hole of texts with 5."""
    count, absent = 4, torch.full((4,), torch.nan)
    return PreparedSet(
        keys=tuple("abcd"),
        real=Batch(
            {"image": modality(THERE["image"], 3, 10), "text": modality(THERE["text"], 1, 20)},
            torch.arange(count),
        ),
        completed={
            "image": modality([True] * count, 2, 30, generated=True),
            "text": modality([False, False, True, True], 5, 40, generated=True),
        },
        similarity={"image": absent, "text": absent},
        pair_similarity=absent,
        made={"image": 4, "text": 2},
        reused={"image": 0, "text": 0},
        seconds={},
    )


def test_batch_fills_holes_and_flags_them(prepared):
    batch = prepared.batch()
    image, text = batch.modalities["image"], batch.modalities["text"]
    assert image.present.all()
    assert text.present.all()
    assert image.generated.tolist() == [False, True, False, False]
    assert text.generated.tolist() == [False, False, True, True]
    assert image.pooled.flatten().tolist() == [10, 31, 12, 13]
    assert text.pooled.flatten().tolist() == [20, 21, 42, 43]
    assert image.mask.sum(dim=1).tolist() == [3, 2, 3, 3]
    assert text.mask.sum(dim=1).tolist() == [1, 1, 5, 5]
    assert text.tokens[2:].flatten().unique().tolist() == [42, 43]
    assert text.tokens[:2, 1:].eq(0).all()
    assert batch.labels.tolist() == [0, 1, 2, 3]


def test_batch_leaves_rejected_holes(prepared):
    batch = prepared.batch({"text": torch.tensor([True, True, False, True])})
    text = batch.modalities["text"]
    assert text.present.tolist() == [True, True, False, True]
    assert not text.mask[2].any()
    assert batch.modalities["image"].present.all()  # one that is not named accepts all


def test_hidden_real_texts_are_replaced_by_generated_ones(prepared):
    batch = prepared.batch(hidden={"image": torch.tensor([True, False, False, True])})
    image = batch.modalities["image"]
    assert image.generated.tolist() == [True, True, False, True]
    assert image.pooled.flatten().tolist() == [30, 31, 12, 33]
    text = prepared.batch(hidden={"text": torch.ones(4, dtype=torch.bool)}).modalities["text"]
    assert text.present.tolist() == [False, False, True, True]  # the others have no completion


def test_what_nothing_fills_is_the_real_batch(prepared):
    nothing = torch.zeros(4, dtype=torch.bool)
    batch = prepared.batch({"image": nothing, "text": nothing})
    for name, real in prepared.real.modalities.items():
        assert batch.modalities[name] is real
    assert len(prepared) == 4

import pytest
import torch

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import ModalityFeatures, stack_modality


def features(length, token_width=3, pooled_width=2, value=1.0):
    return ModalityFeatures(
        torch.full((length, token_width), value).half(), torch.full((pooled_width,), value).half()
    )


def test_samples_are_padded_to_the_longest():
    batch = stack_modality([features(2), None, features(4)], [False, True, True], 3, 2)
    assert len(batch) == 3
    assert batch.tokens.shape == (3, 4, 3)
    assert batch.tokens.dtype == batch.pooled.dtype == torch.float16
    assert batch.mask.sum(dim=1).tolist() == [2, 0, 4]
    assert not batch.tokens[~batch.mask].any()
    assert batch.tokens[batch.mask].all()
    assert batch.present.tolist() == [True, False, True]
    assert batch.generated.tolist() == [False, False, True]
    assert not batch.pooled[1].any()


@pytest.mark.parametrize("entries", [[], [None, None]])
def test_nothing_to_stack_keeps_the_widths(entries):
    batch = stack_modality(entries, [False] * len(entries), 3, 2)
    assert batch.tokens.shape == (len(entries), 1, 3)
    assert batch.pooled.shape == (len(entries), 2)
    assert not batch.present.any()


@pytest.mark.parametrize(
    "odd", [features(2, token_width=4), features(2, pooled_width=3), features(0)]
)
def test_features_of_another_encoder_are_refused(odd):
    with pytest.raises(DataError, match="sample 1"):
        stack_modality([features(2), odd], [False, False], 3, 2)


def test_selecting_keeps_rows_together(make_batch):
    batch = make_batch(6)
    index = torch.tensor([4, 0, 4])
    chosen = batch.select(index)
    assert torch.equal(chosen.labels, batch.labels[index])
    for name, values in chosen.modalities.items():
        assert torch.equal(values.tokens, batch.modalities[name].tokens[index])
        assert torch.equal(values.mask, batch.modalities[name].mask[index])
        assert torch.equal(values.pooled, batch.modalities[name].pooled[index])


def test_moving_makes_features_float32_and_leaves_flags():
    batch = stack_modality([features(2)], [True], 3, 2)
    from fedmvp_flwr.base.features import Batch

    moved = Batch({"image": batch}, torch.tensor([1])).to("cpu")
    assert moved.modalities["image"].tokens.dtype == torch.float32
    assert moved.modalities["image"].mask.dtype == torch.bool
    assert moved.labels.dtype == torch.int64


def test_hiding_touches_the_named_samples_only(make_batch):
    batch = make_batch(4)
    hidden = torch.tensor([True, False, False, True])
    shown = batch.hide({"text": hidden})
    assert shown.modalities["text"].present.tolist() == [False, True, True, False]
    assert not shown.modalities["text"].mask[hidden].any()
    assert torch.equal(
        shown.modalities["text"].mask[~hidden], batch.modalities["text"].mask[~hidden]
    )
    assert shown.modalities["image"] is batch.modalities["image"]
    assert batch.modalities["text"].present.all()


def test_hiding_a_generated_modality_clears_its_flag():
    batch = stack_modality([features(1), features(1)], [True, True], 3, 2)
    shown = batch.hide(torch.tensor([True, False]))
    assert shown.generated.tolist() == [False, True]


def test_trimming_cuts_padding_only_and_changes_no_vector(make_batch, network):
    batch = make_batch(6, lengths=(4, 9))
    text = batch.modalities["text"]
    text.mask[:, 5:] = False
    trimmed = batch.trim()
    longest = int(text.mask.sum(dim=1).max())
    assert trimmed.modalities["text"].tokens.shape[:2] == (6, longest)
    assert torch.equal(trimmed.modalities["text"].mask, text.mask[:, :longest])
    torch.testing.assert_close(network(trimmed).joint, network(batch).joint)


def test_a_modality_that_nobody_has_keeps_one_column(make_batch):
    batch = make_batch(3, present={"text": torch.zeros(3, dtype=torch.bool)})
    assert batch.trim().modalities["text"].tokens.shape[1] == 1

import pytest
import torch

from fedmvp_flwr.model.packing import TokenLayout

MASK = torch.tensor(
    [[True, False, True, True], [False] * 4, [False, True, False, False], [True] * 4]
)


@pytest.fixture
def rows():
    """Eight tokens, one per valid place of the mask, each with its own values."""
    return torch.arange(16.0).view(8, 2)


def test_tokens_are_found_in_the_order_of_samples_and_places():
    layout, place = TokenLayout.of_mask(MASK)
    by_hand = [(s, t) for s in range(4) for t in range(4) if MASK[s, t]]
    assert list(zip(layout.sample.tolist(), place.tolist(), strict=True)) == by_hand
    assert layout.counts.tolist() == [3, 0, 1, 4]
    assert layout.slot.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    assert layout.length == 4


def test_padding_and_packing(rows):
    layout, _ = TokenLayout.of_mask(MASK)
    padded = layout.pad(rows)
    assert padded.shape == (4, 4, 2)
    assert torch.equal(padded[0, :3], rows[:3])  # without the gap that the mask has
    assert not padded[0, 3].any()
    assert not padded[1].any()
    assert torch.equal(layout.pack(padded), rows)
    assert torch.equal(padded.any(dim=2), layout.valid)
    assert layout.valid.sum() == 8


def test_the_mean_is_that_of_a_loop(rows):
    layout, _ = TokenLayout.of_mask(MASK)
    mean = layout.mean(rows)
    for sample in range(4):
        own = rows[layout.sample == sample]
        expected = own.mean(dim=0) if len(own) else torch.zeros(2)
        torch.testing.assert_close(mean[sample], expected)


def test_one_stream_follows_the_other(rows):
    first, _ = TokenLayout.of_mask(MASK)
    second, _ = TokenLayout.of_mask(MASK.flip(0))
    both = first.followed_by(second)
    padded = both.pad(torch.cat([rows, rows + 100]))
    assert both.counts.tolist() == [7, 1, 1, 7]
    assert padded[0, :3, 0].tolist() == rows[:3, 0].tolist()
    assert padded[0, 3:7, 0].tolist() == (rows[:4, 0] + 100).tolist()


def test_some_of_the_samples(rows):
    layout, _ = TokenLayout.of_mask(MASK)
    which, own = layout.among(torch.tensor([False, False, True, True]))
    assert which.tolist() == [3, 4, 5, 6, 7]
    assert own.samples == 2
    assert own.counts.tolist() == [1, 4]
    padded = own.pad(rows[which])
    assert torch.equal(padded[0, 0], rows[3])
    assert torch.equal(padded[1], rows[4:])


@pytest.mark.parametrize("shape", [(0, 3), (2, 3)])
def test_nothing_is_valid(shape):
    layout, place = TokenLayout.of_mask(torch.zeros(shape, dtype=torch.bool))
    assert len(place) == 0
    assert layout.length == 1
    assert layout.pad(torch.zeros(0, 5)).shape == (shape[0], 1, 5)
    assert not layout.mean(torch.zeros(0, 5)).any()
    rows, own = layout.among(torch.ones(shape[0], dtype=torch.bool))
    assert len(rows) == 0
    assert own.samples == shape[0]


def test_gradients_go_through_padding_and_packing(rows):
    layout, _ = TokenLayout.of_mask(MASK)
    rows.requires_grad_()
    layout.pack(2 * layout.pad(rows)).sum().backward()
    assert torch.equal(rows.grad, torch.full((8, 2), 2.0))

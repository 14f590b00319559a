import pytest
import torch

from fedmvp_flwr.model.dropout import Dropout, dropout


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_asked_and_the_mean_stays(chance):
    values = dropout(torch.ones(400, 1000), chance)
    assert float((values == 0).float().mean()) == pytest.approx(chance, abs=0.005)
    assert float(values.mean()) == pytest.approx(1.0, abs=0.01)
    kept = values[values > 0]
    assert torch.equal(kept, kept[0].expand_as(kept))


def test_every_byte_of_a_word_is_as_likely():
    dropped = (dropout(torch.ones(40_000, 8), 0.5) == 0).float().mean(dim=0)
    assert dropped.sub(0.5).abs().max() < 0.015


def test_neighbours_are_independent():
    kept = (dropout(torch.ones(100_000), 0.5) > 0).float() - 0.5
    for distance in (1, 7, 8, 9):
        assert abs(float((kept[distance:] * kept[:-distance]).mean())) < 0.005


def test_the_gradient_is_that_of_what_is_kept():
    values = torch.ones(100, requires_grad=True)
    out = dropout(values, 0.3)
    out.sum().backward()
    assert torch.equal(values.grad, out.detach())


def test_nothing_is_dropped_where_nothing_is_asked_or_trained():
    values = torch.randn(5, 3)
    assert dropout(values, 0.0) is values
    assert Dropout(0.5).eval()(values) is values
    assert dropout(torch.zeros(0, 4), 0.5).shape == (0, 4)


def test_it_draws_from_the_seeded_generator():
    def draw():
        torch.manual_seed(3)
        return dropout(torch.ones(13, 7), 0.4)

    assert torch.equal(draw(), draw())

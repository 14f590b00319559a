import math

import pytest
import torch

from fedmvp_flwr.model.attention import Attention, AttentionBlock, TransformerLayer


@pytest.fixture(autouse=True)
def _fixed_initialisation():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def streams():
    return torch.randn(3, 4, 8), torch.randn(3, 5, 8)


@pytest.fixture
def mask():
    flags = torch.ones(3, 5, dtype=torch.bool)
    flags[0, 3:] = False
    flags[2] = False
    return flags


def slow_attention(module, queries, context, mask):
    """One sample, one head, one query at a time."""
    head_width = queries.shape[2] // module.heads
    query = module.query(queries)
    key, value = module.key_value(context).split(queries.shape[2], dim=2)
    out = torch.zeros_like(queries)
    for b in range(len(queries)):
        valid = [t for t in range(context.shape[1]) if mask[b, t]]
        for h in range(module.heads):
            part = slice(h * head_width, (h + 1) * head_width)
            for q in range(queries.shape[1]):
                scores = [
                    math.exp(float(query[b, q, part] @ key[b, t, part]) / math.sqrt(head_width))
                    for t in valid
                ]
                for score, t in zip(scores, valid, strict=True):
                    out[b, q, part] += score / sum(scores) * value[b, t, part]
    out = module.out(out)
    out[~mask.any(dim=1)] = 0.0
    return out


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equals_a_slow_loop(streams, mask, heads):
    attention = Attention(8, heads, 0.0)
    expected = slow_attention(attention, *streams, mask)
    torch.testing.assert_close(attention(*streams, mask), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_sample_without_context_finds_nothing(streams, mask):
    found = Attention(8, 2, 0.0)(*streams, mask)
    assert not found[2].any()
    assert found[1].any()


@torch.no_grad()
def test_masked_context_has_no_influence(streams, mask):
    queries, context = streams
    attention = Attention(8, 2, 0.0)
    changed = torch.where(mask[:, :, None], context, 1e4)
    torch.testing.assert_close(attention(queries, changed, mask), attention(queries, context, mask))


def test_gradients_are_finite_and_none_reaches_the_masked(streams, mask):
    queries, context = (stream.requires_grad_() for stream in streams)
    AttentionBlock(8, 2, 0.0)(queries, context, mask).square().sum().backward()
    assert torch.isfinite(queries.grad).all()
    assert torch.isfinite(context.grad).all()
    assert not context.grad[~mask].any()
    assert context.grad[mask].any(dim=1).all()


@torch.no_grad()
def test_the_block_adds_what_it_finds(streams, mask):
    queries, context = streams
    block = AttentionBlock(8, 2, 0.0)
    found = block.attention(block.norm(queries), block.context_norm(context), mask)
    torch.testing.assert_close(block(queries, context, mask), queries + found)
    torch.testing.assert_close(block(queries, context, mask)[2], queries[2])


@torch.no_grad()
def test_the_layer_does_not_let_masked_tokens_speak(streams):
    tokens = streams[1]
    mask = torch.tensor([[True, True, True, False, False]]).expand(3, 5)
    layer = TransformerLayer(8, 2, 2, 0.0).eval()
    alone = layer(tokens[:, :3], mask[:, :3])
    torch.testing.assert_close(layer(tokens, mask)[:, :3], alone)


@torch.no_grad()
def test_dropout_acts_in_training_only(streams, mask):
    layer = TransformerLayer(8, 2, 2, 0.5)
    tokens = streams[1]
    assert not torch.equal(layer(tokens, mask), layer(tokens, mask))
    layer.eval()
    assert torch.equal(layer(tokens, mask), layer(tokens, mask))

import math
from dataclasses import replace

import pytest
import torch

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.model.joint_encoder import (
    Attention,
    AttentionBlock,
    JointEncoder,
    TransformerLayer,
    sinusoidal_positions,
)
from fedmvp_flwr.model.packing import TokenLayout


@pytest.fixture
def encoder(widths):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return JointEncoder(widths, width=16, layers=2, heads=2, dropout=0.0).eval()


def changed(batch, modality, **tensors):
    modalities = dict(batch.modalities)
    modalities[modality] = replace(modalities[modality], **tensors)
    return Batch(modalities, batch.labels)


@torch.no_grad()
@pytest.mark.parametrize("lengths", [(1, 1), (4, 3), (2, 9), (196, 17)])
def test_unit_vectors_of_any_token_lengths(encoder, make_batch, lengths):
    joint = encoder(make_batch(3, lengths=lengths))
    assert joint.shape == (3, 16)
    torch.testing.assert_close(joint.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_modality_vectors_are_unit_vectors(encoder, make_batch):
    vectors = encoder.modality_vectors(make_batch(3))
    assert list(vectors) == ["image", "text"]
    for values in vectors.values():
        torch.testing.assert_close(values.norm(dim=1), torch.ones(3))


@torch.no_grad()
@pytest.mark.parametrize("modality", ["image", "text"])
def test_masked_tokens_have_no_influence(encoder, make_batch, modality):
    batch = make_batch(6, lengths=(5, 6))
    values = batch.modalities[modality]
    noise = torch.where(values.mask[:, :, None], values.tokens, 1e3)
    assert not torch.equal(noise, values.tokens)
    torch.testing.assert_close(
        encoder(changed(batch, modality, tokens=noise)), encoder(batch), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
@pytest.mark.parametrize("modality", ["image", "text"])
def test_valid_tokens_do_have_influence(encoder, make_batch, modality):
    batch = make_batch(4)
    tokens = batch.modalities[modality].tokens.flip(2)
    moved = encoder(changed(batch, modality, tokens=tokens)) - encoder(batch)
    assert (moved.abs().amax(dim=1) > 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_hidden_modality_has_no_influence(encoder, make_batch, modality):
    batch = make_batch(4)
    hidden = batch.hide({modality: torch.ones(4, dtype=torch.bool)})
    other = changed(hidden, modality, tokens=torch.randn_like(hidden.modalities[modality].tokens))
    torch.testing.assert_close(encoder(other), encoder(hidden))
    assert not torch.allclose(encoder(hidden), encoder(batch), atol=1e-3)


@torch.no_grad()
def test_padding_changes_nothing(encoder, make_batch):
    batch = make_batch(5)
    padded = batch
    for name, values in batch.modalities.items():
        padded = changed(
            padded,
            name,
            tokens=torch.nn.functional.pad(values.tokens, (0, 0, 0, 7), value=3.0),
            mask=torch.nn.functional.pad(values.mask, (0, 7)),
        )
    torch.testing.assert_close(encoder(padded), encoder(batch), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_neighbours(encoder, make_batch):
    batch = make_batch(6)
    alone = torch.cat([encoder(batch.select(torch.tensor([i]))) for i in range(6)])
    torch.testing.assert_close(encoder(batch), alone, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("modality", ["image", "text"])
def test_the_order_of_the_tokens_matters(encoder, make_batch, modality):
    batch = make_batch(3)
    values = batch.modalities[modality]
    full = changed(
        batch,
        modality,
        mask=torch.ones_like(values.mask),
        tokens=torch.randn(values.tokens.shape, generator=torch.Generator().manual_seed(1)),
    )
    flipped = changed(full, modality, tokens=full.modalities[modality].tokens.flip(1))
    assert not torch.allclose(encoder(full), encoder(flipped), atol=1e-4)


def test_nothing_present_is_finite_also_in_its_gradients(encoder, make_batch):
    nothing = torch.zeros(3, dtype=torch.bool)
    batch = make_batch(3, present={"image": nothing, "text": nothing})
    joint = encoder(batch)
    assert torch.isfinite(joint).all()
    torch.testing.assert_close(joint[0], joint[1])
    joint.square().sum().backward()
    grads = [p.grad for p in encoder.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(grad).all() for grad in grads)


def test_every_parameter_learns(encoder, make_batch):
    batch = make_batch(8)
    generator = torch.Generator().manual_seed(0)
    loss = (encoder(batch) * torch.randn(8, 16, generator=generator)).sum()
    for vectors in encoder.modality_vectors(batch).values():
        loss = loss + (vectors * torch.randn(8, 16, generator=generator)).sum()
    loss.backward()
    untouched = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


@torch.no_grad()
def test_an_empty_batch(encoder, make_batch):
    assert encoder(make_batch(2).select(torch.tensor([], dtype=torch.long))).shape == (0, 16)


def test_other_modalities_than_ours(make_batch):
    encoder = JointEncoder({"b": (6, 7), "a": (5, 4)}, 8, 1, 2, 0.1)
    batch = make_batch(2)
    renamed = Batch({"b": batch.modalities["image"], "a": batch.modalities["text"]}, batch.labels)
    assert encoder(renamed).shape == (2, 8)


@pytest.mark.parametrize("width", [1, 7, 16])
def test_positions(width):
    positions = sinusoidal_positions(50, width)
    assert positions.shape == (50, width)
    assert positions.abs().max() <= 1.0
    assert torch.equal(sinusoidal_positions(20, width), positions[:20])
    assert len(torch.unique(positions, dim=0)) == 50


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
    flags[2, :2] = False
    return flags


def everything(stream):
    """The rows of a padded stream (B, T, d) whose tokens are all valid, and their layout."""
    return valid(stream, torch.ones(stream.shape[:2], dtype=torch.bool))


def valid(stream, mask):
    """The rows of the valid tokens, and their layout."""
    layout, place = TokenLayout.of_mask(mask)
    return stream[layout.sample, place], layout


def slow_attention(module, queries, context, mask):
    """One sample, one head, one query at a time."""
    head_width = queries.shape[2] // module.heads
    query = module.query(queries)
    key, value = module.key_value(context).split(queries.shape[2], dim=2)
    out = torch.zeros_like(queries)
    for b in range(len(queries)):
        there = [t for t in range(context.shape[1]) if mask[b, t]]
        for h in range(module.heads):
            part = slice(h * head_width, (h + 1) * head_width)
            for q in range(queries.shape[1]):
                scores = [
                    math.exp(float(query[b, q, part] @ key[b, t, part]) / math.sqrt(head_width))
                    for t in there
                ]
                for score, t in zip(scores, there, strict=True):
                    out[b, q, part] += score / sum(scores) * value[b, t, part]
    return module.out(out)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_equals_a_slow_loop(streams, mask, heads):
    queries, context = streams
    attention = Attention(8, heads, 0.0)
    found = attention(*everything(queries), *valid(context, mask))
    expected = slow_attention(attention, queries, context, mask)
    torch.testing.assert_close(found, expected.flatten(0, 1), atol=1e-5, rtol=1e-4)


def test_gradients_are_finite_and_none_reaches_the_masked(streams, mask):
    queries, context = (stream.requires_grad_() for stream in streams)
    block = AttentionBlock(8, 2, 0.0)
    block(*everything(queries), *valid(context, mask)).square().sum().backward()
    assert torch.isfinite(queries.grad).all()
    assert torch.isfinite(context.grad).all()
    assert not context.grad[~mask].any()
    assert context.grad[mask].any(dim=1).all()


@torch.no_grad()
def test_the_block_adds_what_it_finds(streams, mask):
    (queries, layout), (context, other) = everything(streams[0]), valid(streams[1], mask)
    block = AttentionBlock(8, 2, 0.0)
    found = block.attention(block.norm(queries), layout, block.context_norm(context), other)
    torch.testing.assert_close(block(queries, layout, context, other), queries + found)


@torch.no_grad()
def test_a_sample_does_not_hear_another_one(streams, mask):
    layer = TransformerLayer(8, 2, 2, 0.0).eval()
    rows, layout = valid(streams[1], mask)
    together = layer(rows, layout)
    for sample in range(3):
        own = layer(*valid(streams[1][sample : sample + 1], mask[sample : sample + 1]))
        torch.testing.assert_close(together[layout.sample == sample], own)


@torch.no_grad()
def test_dropout_acts_in_training_only(streams, mask):
    layer = TransformerLayer(8, 2, 2, 0.5)
    rows, layout = valid(streams[1], mask)
    assert not torch.equal(layer(rows, layout), layer(rows, layout))
    layer.eval()
    assert torch.equal(layer(rows, layout), layer(rows, layout))


def _attend(block, queries, context):
    """A block on the tokens (Q, d) and (T, d) of one sample, padding and packing left out."""
    module = block.attention
    width = queries.shape[1] // module.heads
    query = module.query(block.norm(queries))
    key, value = module.key_value(block.context_norm(context)).chunk(2, dim=1)
    found = []
    for part in (slice(h * width, (h + 1) * width) for h in range(module.heads)):
        shares = (query[:, part] @ key[:, part].T / math.sqrt(width)).softmax(dim=1)
        found.append(shares @ value[:, part])
    return queries + module.out(torch.cat(found, dim=1))


def reference(encoder, batch):
    """The joint vectors, one sample at a time and every token as it stands."""
    vectors = []
    for row in range(len(batch)):
        streams = {}
        for name, m in batch.modalities.items():
            positions = sinusoidal_positions(m.tokens.shape[1], encoder.width)
            embedded = encoder.token_adapters[name](m.tokens[row]) + encoder.types[name]
            streams[name] = (embedded + encoder.position_scale * positions)[m.mask[row]]
        first, second = (streams[name] for name in encoder.names)
        if len(first):
            first = _attend(encoder.self_attention, first, first)
        if len(first) and len(second):
            crossed = encoder.cross_attention
            one, other = encoder.names
            first, second = (
                _attend(crossed[one], first, second),
                _attend(crossed[other], second, first),
            )
        tokens = torch.cat([first, second])
        for layer in encoder.layers:
            if len(tokens):
                tokens = _attend(layer.attend, tokens, tokens)
                tokens = tokens + layer.feed_forward(tokens)
        mean = encoder.norm(tokens).sum(dim=0) / max(len(tokens), 1)
        vectors.append(torch.nn.functional.normalize(encoder.projection(mean), dim=0))
    return torch.stack(vectors)


@pytest.mark.parametrize("seed", range(4))
def test_equals_one_sample_at_a_time_also_in_its_gradients(encoder, make_batch, seed):
    flags = torch.rand(2, 9, generator=torch.Generator().manual_seed(seed)) < 0.7
    batch = make_batch(9, seed, (5, 7), present={"image": flags[0], "text": flags[1]})
    text = batch.modalities["text"]
    holes = torch.rand(text.mask.shape, generator=torch.Generator().manual_seed(9)) < 0.8
    batch = changed(batch, "text", mask=text.mask & holes)  # not from the left without a gap
    aim = torch.randn(9, 16, generator=torch.Generator().manual_seed(seed))
    results = []
    for compute in (encoder, lambda b: reference(encoder, b)):
        encoder.zero_grad()
        joint = compute(batch)
        (joint * aim).sum().backward()
        gradients = {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}
        results.append((joint.detach(), gradients))
    (ours, own), (slow, theirs) = results
    torch.testing.assert_close(ours, slow, atol=1e-5, rtol=1e-4)
    assert own.keys() == theirs.keys()
    for name in own:
        torch.testing.assert_close(own[name], theirs[name], atol=1e-5, rtol=1e-3)

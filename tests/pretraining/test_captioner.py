import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedmvp_assets.build.transplant import captioner_to_encoder
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, encode_pairs, encoder_to_captioner
from fedmvp_flwr.pretraining.encoder import EncoderTrainer
from fedmvp_flwr.pretraining.job import AttributeHeads
from fedmvp_flwr.pretraining.sample_bank import SampleBank


@pytest.fixture
def frame(job_of):
    return job_of(count=2, patch=8, width=16, context=16)


def test_only_what_follows_the_prompt_is_learned(frame):
    pairs = [("a picture of", "a red bag"), ("what colour?", "red")]
    tokens, labels = encode_pairs(frame, pairs)
    for row, (_, text) in enumerate(pairs):
        learned = labels[row][labels[row] >= 0]
        assert torch.equal(learned, tokens[row][labels[row] >= 0])
        decoded = frame.tokenizer.decode(learned, skip_special_tokens=True)
        assert decoded.strip() == text
        assert learned[-1] == frame.tokenizer.sep_token_id
        assert frame.tokenizer.pad_token_id not in learned


def test_texts_are_cut_at_the_context(frame):
    tokens, labels = encode_pairs(frame, [("a picture of", "red " * 99), ("a", "b")])
    assert tokens.shape == labels.shape == (2, frame.shape.context)


def test_several_pairs_per_image_are_the_mean_of_each_alone(frame, monkeypatch):
    torch.manual_seed(0)
    trainer = CaptionerTrainer(frame).eval()
    # Of equal lengths, so that each token weighs the same.
    first, second = [("a", "red bag")] * 2, [("of", "red bag")] * 2

    def loss(pairs):
        monkeypatch.setattr(SampleBank, "caption_pairs", lambda *_: pairs)
        with torch.no_grad():
            return trainer.loss(frame.draw("captioner", 0, 2))

    both, parts = loss(first + second), [loss(first), loss(second)]
    assert torch.allclose(both, sum(parts) / 2, atol=1e-5)


def test_attribute_heads_are_the_mean_of_their_cross_entropies():
    torch.manual_seed(0)
    heads = AttributeHeads(4, (3, 2))
    tokens, targets = torch.randn(5, 7, 4), torch.tensor([[0, 1], [1, 0], [2, 1], [0, 0], [1, 1]])
    pooled = torch.stack([tokens[:, t] for t in range(7)]).sum(0) / 7
    expected = sum(F.cross_entropy(heads[i](pooled), targets[:, i]) for i in range(2)) / 2
    assert torch.allclose(heads.loss(tokens, targets), expected)
    none = AttributeHeads(4, ()).loss(tokens, torch.zeros(5, 0, dtype=torch.int64))
    assert float(none) == 0.0


def test_image_towers_are_handed_on_unchanged(job_of):
    torch.manual_seed(0)
    towers = job_of(vision_layers=2, sizes=(3, 2))
    encoder, captioner = EncoderTrainer(towers).eval(), CaptionerTrainer(towers).eval()
    pixels = torch.randn(2, 3, 16, 16)
    nn.init.normal_(captioner.model.vision_model.embeddings.patch_embedding.bias)
    with torch.no_grad():
        captioner_to_encoder(captioner, encoder)
        seen = captioner.model.vision_model(pixel_values=pixels)[0][:, 1:]
        _, tokens = encoder.clip.visual(pixels)
        assert torch.allclose(tokens, seen, atol=1e-4)
        other = CaptionerTrainer(towers).eval()
        encoder_to_captioner(encoder, other)
        again = other.model.vision_model(pixel_values=pixels)[0][:, 1:]
        assert torch.allclose(again, seen, atol=1e-4)

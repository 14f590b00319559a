import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fedmvp_assets.build.transplant import captioner_to_encoder
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, encode_pairs, encoder_to_captioner
from fedmvp_flwr.pretraining.encoder import EncoderTrainer
from fedmvp_flwr.pretraining.job import AttributeHeads, Job
from fedmvp_flwr.pretraining.loop import Budget
from fedmvp_flwr.pretraining.sample_bank import SampleBank
from fedmvp_flwr.pretraining.shape import Shape
from fedmvp_flwr.pretraining.tokenizer import learn_tokenizer

SHAPE = Shape(image_size=16, patch=8, width=16, vision_layers=1, text_layers=1, context=16)


def job(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    bank = SampleBank(images, ("a", "b"), torch.zeros(2, 0, dtype=torch.int64))
    tokenizer = learn_tokenizer(["a picture of a red bag"] * 3, 300, SHAPE.context)
    return Job(bank, tmp_path, Budget(1, 1), 0, SHAPE, tokenizer)


def test_only_what_follows_the_prompt_is_learned(tmp_path):
    frame = job(tmp_path)
    pairs = [("a picture of", "a red bag"), ("what colour?", "red")]
    tokens, labels = encode_pairs(frame, pairs)
    for row, (_, text) in enumerate(pairs):
        learned = labels[row][labels[row] >= 0]
        assert torch.equal(learned, tokens[row][labels[row] >= 0])
        decoded = frame.tokenizer.decode(learned, skip_special_tokens=True)
        assert decoded.strip() == text
        assert learned[-1] == frame.tokenizer.sep_token_id
        assert frame.tokenizer.pad_token_id not in learned


def test_texts_are_cut_at_the_context(tmp_path):
    tokens, labels = encode_pairs(job(tmp_path), [("a picture of", "red " * 99), ("a", "b")])
    assert tokens.shape == labels.shape == (2, SHAPE.context)


def test_several_pairs_per_image_are_the_mean_of_each_alone(tmp_path, monkeypatch):
    frame = job(tmp_path)
    torch.manual_seed(0)
    trainer = CaptionerTrainer(SHAPE, frame.tokenizer).eval()
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


TOWERS = Shape(image_size=16, patch=4, width=32, vision_layers=2, context=16)


def test_image_towers_are_handed_on_unchanged():
    torch.manual_seed(0)
    tokenizer = learn_tokenizer(["a flower"], 300, TOWERS.context)
    sizes = (3, 2)
    encoder = EncoderTrainer(TOWERS, tokenizer, sizes).eval()
    captioner = CaptionerTrainer(TOWERS, tokenizer, sizes).eval()
    pixels = torch.randn(2, 3, 16, 16)
    nn.init.normal_(captioner.model.vision_model.embeddings.patch_embedding.bias)
    with torch.no_grad():
        captioner_to_encoder(captioner, encoder)
        seen = captioner.model.vision_model(pixel_values=pixels)[0][:, 1:]
        _, tokens = encoder.clip.visual(pixels)
        assert torch.allclose(tokens, seen, atol=1e-4)
        other = CaptionerTrainer(TOWERS, tokenizer, sizes).eval()
        encoder_to_captioner(encoder, other)
        again = other.model.vision_model(pixel_values=pixels)[0][:, 1:]
        assert torch.allclose(again, seen, atol=1e-4)

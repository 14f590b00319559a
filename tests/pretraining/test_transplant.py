import torch
from torch import nn

from fedmvp_assets.build.transplant import captioner_to_encoder
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer
from fedmvp_flwr.pretraining.encoder import EncoderTrainer
from fedmvp_flwr.pretraining.shape import Shape
from fedmvp_flwr.pretraining.tokenizer import learn_tokenizer
from fedmvp_flwr.pretraining.transplant import encoder_to_captioner

SHAPE = Shape(image_size=16, patch=4, width=32, vision_layers=2, context=16)


def test_image_towers_are_handed_on_unchanged():
    torch.manual_seed(0)
    tokenizer = learn_tokenizer(["a flower"], 300, SHAPE.context)
    sizes = (3, 2)
    encoder = EncoderTrainer(SHAPE, tokenizer, sizes).eval()
    captioner = CaptionerTrainer(SHAPE, tokenizer, sizes).eval()
    pixels = torch.randn(2, 3, 16, 16)
    nn.init.normal_(captioner.model.vision_model.embeddings.patch_embedding.bias)
    with torch.no_grad():
        captioner_to_encoder(captioner, encoder)
        seen = captioner.model.vision_model(pixel_values=pixels)[0][:, 1:]
        _, tokens = encoder.clip.visual(pixels)
        assert torch.allclose(tokens, seen, atol=1e-4)
        other = CaptionerTrainer(SHAPE, tokenizer, sizes).eval()
        encoder_to_captioner(encoder, other)
        again = other.model.vision_model(pixel_values=pixels)[0][:, 1:]
        assert torch.allclose(again, seen, atol=1e-4)

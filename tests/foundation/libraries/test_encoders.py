"""What the encoders of all libraries share: a grid of tokens, real lengths, measured widths."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.libraries.encoders import GridEncoder, WordEncoder


class Pixels(GridEncoder):
    """The map of an image is the image, its embedding the mean."""

    def _prepare(self, images):
        rows = [np.asarray(image.resize((4, 4))) for image in images]
        return torch.tensor(np.stack(rows)).permute(0, 3, 1, 2).float()

    def _look(self, pixels):
        assert not torch.is_grad_enabled()
        return pixels, pixels.mean(dim=(2, 3)) / 255


class Letters(WordEncoder):
    """A token is a letter's number, padded with zeros."""

    def _read(self, texts):
        longest = max(1, *map(len, texts)) if len(texts) > 1 else max(1, len(texts[0]))
        codes = [[ord(c) for c in text] + [0] * (longest - len(text)) for text in texts]
        tokens = torch.tensor(codes).float()[:, :, None]
        return tokens, tokens.mean(dim=1), torch.tensor([len(text) for text in texts])


def context(**settings):
    return SimpleNamespace(device="cpu", settings=ModelSettings(**settings))


def test_widths_are_measured():
    encoder = Pixels(context(image_grid=2))
    assert (encoder.token_width, encoder.pooled_width) == (3, 3)
    letters = Letters(context())
    assert (letters.token_width, letters.pooled_width) == (1, 1)


def test_an_image_is_a_grid_of_tokens_whatever_its_mode():
    encoder = Pixels(context(image_grid=2))
    grey, colour = Image.new("L", (9, 7), 100), Image.new("RGB", (4, 4), (10, 20, 30))
    first, second = encoder.encode([grey, colour])
    assert first.tokens.tolist() == [[100] * 3] * 4
    assert second.tokens.tolist() == [[10, 20, 30]] * 4
    assert second.pooled.float().tolist() == pytest.approx([10 / 255, 20 / 255, 30 / 255], abs=1e-3)
    assert first.tokens.dtype == first.pooled.dtype == torch.float16
    assert encoder.encode([]) == []


def test_a_grid_finer_than_the_map_is_refused_at_once():
    with pytest.raises(ModelError, match=r"image-grid=5: .*only \(4, 4\)"):
        Pixels(context(image_grid=5))


def test_a_text_is_as_long_as_it_is_up_to_the_setting():
    encoder = Letters(context(text_max_tokens=3))
    items = encoder.encode(["ab", "", "abcdef"])
    assert [item.tokens.flatten().tolist() for item in items] == [[97, 98], [0], [97, 98, 99]]
    assert encoder.encode([]) == []

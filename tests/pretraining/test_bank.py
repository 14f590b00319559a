from dataclasses import dataclass

import numpy as np
import pytest

from fedmvp_flwr.pretraining.bank import PIXEL_MEAN, PIXEL_STD, pixels_of


@dataclass
class Images:
    images: np.ndarray


@pytest.fixture
def bank():
    return Images(np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8))


def test_pixels_of_a_bank_lie_between_minus_one_and_one(bank):
    bank.images[0], bank.images[1] = 0, 255
    pixels = pixels_of(bank, np.array([1, 0]))
    assert pixels.shape == (2, 3, 4, 4)
    assert (pixels[0] == 1).all()
    assert (pixels[1] == -1).all()


def test_scaling_is_the_one_that_the_models_are_saved_with(bank):
    pixels = pixels_of(bank, np.array([3, 1, 3])).numpy()
    scaled = (bank.images[[3, 1, 3]] / 255 - np.array(PIXEL_MEAN)) / np.array(PIXEL_STD)
    assert np.allclose(pixels, scaled.transpose(0, 3, 1, 2), atol=1e-6)


def test_an_image_that_is_not_there_is_refused(bank):
    with pytest.raises(IndexError):
        pixels_of(bank, np.array([5]))

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.pretraining.shape import Shape


def test_latents_have_a_quarter_of_the_side():
    assert Shape(image_size=48).latent_size == 12


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": 50}, "image_size=50"),
        ({"image_size": 20, "patch": 5}, "multiple of patch=5 and of 8"),
        ({"width": 30, "heads": 4}, "heads=4"),
        ({"context": 4}, "context=4"),
        ({"vision_layers": 0}, "vision_layers=0"),
    ],
)
def test_sizes_that_do_not_fit_are_named(wrong, said):
    with pytest.raises(ConfigError, match=said):
        Shape(**wrong)


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError, match=r"image_size=50.*width=30.*context=4"):
        Shape(image_size=50, width=30, context=4)

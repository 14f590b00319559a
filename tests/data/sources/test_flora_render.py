import itertools
import math

import numpy as np
import pytest

from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.data.sources.flora_render import IMAGE_SIZE, NUM_BACKGROUNDS, Nuisance, draw_flower

USUAL = ("red", "round", "golden", 5, "plain")
VALUES = (flora.COLOURS, flora.SHAPES, flora.CENTRES, flora.COUNTS, flora.PATTERNS)


def nuisance(**changes) -> Nuisance:
    still = Nuisance(rotation=0.3, radius=0.85, shift=(0.0, 0.0), background=0, tint=1.0)
    return still._replace(**changes)


def draw(combination=USUAL, **changes) -> np.ndarray:
    return draw_flower(*combination, nuisance(**changes)).astype(int)


def test_size_type_and_determinism():
    image = draw_flower(*USUAL, nuisance())
    assert image.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert image.dtype == np.uint8
    assert np.array_equal(image, draw_flower(*USUAL, nuisance()))


@pytest.mark.parametrize("column", range(5))
def test_every_value_of_an_attribute_shows(column):
    images = []
    for value in VALUES[column]:
        combination = list(USUAL)
        combination[column] = value
        images.append(draw(tuple(combination)))
    for first, second in itertools.combinations(images, 2):
        changed = np.abs(first - second).max(axis=2) > 40
        assert changed.mean() > 0.01


def test_colour_fills_the_petals():
    middle = IMAGE_SIZE // 2
    for colour, expected in (("red", (205, 30, 40)), ("blue", (45, 85, 220))):
        image = draw((colour, "round", "golden", 8, "plain"))
        ring = image[middle, middle + 10]  # beyond the centre, within the petals
        assert np.abs(ring - expected).max() <= 3


def test_a_turn_by_one_petal_changes_nothing():
    for count in flora.COUNTS:
        combination = ("pink", "pointed", "dark", count, "striped")
        still = draw(combination, rotation=0.4)
        turned = draw(combination, rotation=0.4 + 2 * math.pi / count)
        assert np.abs(still - turned).max() <= 2


def test_a_quarter_turn_turns_the_picture():
    still, turned = draw(rotation=0.2), draw(rotation=0.2 + math.pi / 2)
    assert np.abs(np.rot90(still, -1) - turned).mean() < 1


def test_more_petals_have_more_gaps():
    angles = np.linspace(0, 2 * math.pi, 720, endpoint=False)
    radius = 0.72 * IMAGE_SIZE / 2 * 0.85  # within the petals, beyond the gaps
    x = (IMAGE_SIZE / 2 + radius * np.cos(angles)).astype(int)
    y = (IMAGE_SIZE / 2 + radius * np.sin(angles)).astype(int)
    for count in flora.COUNTS:
        red = draw(("red", "round", "golden", count, "plain"))[y, x, 0] > 150
        assert np.count_nonzero(red & ~np.roll(red, 1)) == count


def test_shift_scale_tint_and_background_are_free():
    usual = draw()
    assert np.abs(draw(shift=(0.08, -0.08)) - usual).max() > 50
    assert (draw(radius=0.74) != usual).mean() > 0.05
    white = ("white", "round", "dark", 8, "plain")
    assert draw(white, tint=0.93).max() < draw(white).max()
    corners = {tuple(draw(background=tone)[0, 0]) for tone in range(NUM_BACKGROUNDS)}
    assert len(corners) == NUM_BACKGROUNDS


def test_unknown_colour_is_refused():
    with pytest.raises(KeyError, match="mauve"):
        draw(("mauve", "round", "golden", 5, "plain"))

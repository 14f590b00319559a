"""Draws the flowers of Flora: NumPy only, about a millisecond each."""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

IMAGE_SIZE = 48  # pixels
_OVERSAMPLING = 3
_PALETTE = {
    "red": (205, 30, 40),
    "orange": (245, 130, 20),
    "yellow": (250, 220, 40),
    "blue": (45, 85, 220),
    "purple": (120, 40, 160),
    "pink": (250, 130, 185),
    "white": (248, 248, 245),
}
_BACKGROUNDS = ((96, 118, 92), (112, 124, 132), (134, 120, 100), (84, 104, 112))
_MARK = np.array((35, 25, 40), dtype=np.float32)  # what spots, stripes and edges are mixed with
_MARK_SHARE = 0.72
_GOLD = (255, 190, 20)
_DARK = (40, 24, 20)
_PALE = (250, 250, 235)
_GREEN = (70, 170, 60)

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


class Nuisance(NamedTuple):
    """What varies between two pictures of the same kind of flower.

    Attributes:
        rotation: radians.
        radius: of the flower, as a share of half the image.
        shift: (x, y) of its middle, as shares of half the image.
        background: index of a tone.
        tint: factor on the brightness of the petals, around 1.
    """

    rotation: float
    radius: float
    shift: tuple[float, float]
    background: int
    tint: float


NUM_BACKGROUNDS = len(_BACKGROUNDS)


def draw_flower(
    colour: str, shape: str, centre: str, count: int, pattern: str, nuisance: Nuisance
) -> NDArray[np.uint8]:
    """Draw one flower.

    Args:
        colour: a key of the palette.
        shape: `round`, `pointed` or `notched` petals.
        centre: `golden`, `dark`, `ringed` or `starry`.
        count: number of petals.
        pattern: `plain`, `spotted`, `striped` or `edged`.
        nuisance: everything else.

    Returns:
        (48, 48, 3) RGB.
    """
    x, y = _grid()
    x, y = x - nuisance.shift[0], y - nuisance.shift[1]
    distance = np.sqrt(x * x + y * y) / nuisance.radius
    angle = np.arctan2(y, x) - nuisance.rotation
    sector = 2 * math.pi / count
    # Offset from the nearest petal's axis: -1 and 1 are the gaps between petals.
    offset = (np.mod(angle + sector / 2, sector) - sector / 2) / (sector / 2)
    boundary = _boundary(shape, np.abs(offset))
    petals = distance < boundary
    colours = np.array(_PALETTE[colour], dtype=np.float32) * nuisance.tint
    marks = petals & _marks(pattern, distance, offset, boundary, count)
    pixels = np.empty((*x.shape, 3), dtype=np.float32)
    pixels[:] = _BACKGROUNDS[nuisance.background]
    pixels[petals] = colours
    pixels[marks] = _MARK_SHARE * _MARK + (1 - _MARK_SHARE) * colours
    _draw_centre(pixels, centre, distance, angle)
    size = IMAGE_SIZE
    small = pixels.reshape(size, _OVERSAMPLING, size, _OVERSAMPLING, 3).mean(axis=(1, 3))
    rounded: NDArray[np.uint8] = np.clip(small + 0.5, 0, 255).astype(np.uint8)
    return rounded


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Floats]:
    side = IMAGE_SIZE * _OVERSAMPLING
    line = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(line, line)
    return x, y


def _boundary(shape: str, offset: Floats) -> Floats:
    if shape == "pointed":
        return 0.26 + 0.74 * (1 - offset)
    lobes = 0.30 + 0.70 * np.sqrt(np.clip(1 - offset**2, 0, 1))
    if shape == "notched":
        lobes = lobes * (1 - 0.36 * np.exp(-((offset / 0.28) ** 2)))
    return lobes


def _marks(pattern: str, distance: Floats, offset: Floats, boundary: Floats, count: int) -> Flags:
    marked: Flags = np.zeros(distance.shape, dtype=bool)
    across = offset * np.sin(math.pi / count) * distance  # from the petal's axis
    if pattern == "striped":
        marked = (np.abs(across) < 0.055) & (distance > 0.3)
    elif pattern == "edged":
        marked = distance > boundary - 0.15
    elif pattern == "spotted":
        for along, side in ((0.46, 0.0), (0.66, 0.11), (0.66, -0.11)):
            marked |= (distance - along) ** 2 + (across - side) ** 2 < 0.0065
    return marked


def _draw_centre(pixels: Floats, centre: str, distance: Floats, angle: Floats) -> None:
    if centre == "golden":
        pixels[distance < 0.27] = _GOLD
    elif centre == "dark":
        pixels[distance < 0.27] = _DARK
    elif centre == "ringed":
        pixels[distance < 0.29] = _DARK
        pixels[distance < 0.20] = _PALE
    else:
        pixels[distance < 0.20 + 0.10 * np.cos(5 * angle)] = _GREEN

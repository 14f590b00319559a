"""A bank of drawn flowers of attribute combinations that no species of Flora shows."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp_flwr.data import flora
from fedmvp_flwr.data.flora import FlowerSpec
from fedmvp_flwr.data.flora_render import IMAGE_SIZE
from fedmvp_flwr.seeds import numpy_generator

# Visible attributes in the order of their columns, with their values.
ATTRIBUTES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "colour": flora.COLOURS,
    "shape": flora.SHAPES,
    "centre": flora.CENTRES,
    "count": flora.COUNTS,
    "pattern": flora.PATTERNS,
}
_TEST_COMBINATIONS = 120  # kept out of the training, to measure the bars on
_MEAN, _STD = 0.5, 0.5  # images are scaled to [-1, 1], as in diffusers


@dataclass(frozen=True)
class Bank:
    """Flowers and their pictures.

    Attributes:
        specs: one per picture.
        images: (N, S, S, 3) uint8, memory-mapped.
        attributes: (N, 5) int64 value indices, columns as in `ATTRIBUTES`.
    """

    specs: list[FlowerSpec]
    images: NDArray[np.uint8]
    attributes: Tensor

    def __len__(self) -> int:
        """Number of flowers."""
        return len(self.specs)

    def pixels(self, index: NDArray[np.int64], device: torch.device | str = "cpu") -> Tensor:
        """(B, 3, S, S) float pixels in [-1, 1]."""
        images = torch.from_numpy(np.ascontiguousarray(self.images[index])).to(device)
        return (images.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD


def combinations(split: str, seed: int) -> list[tuple[str, str, str, int, str]]:
    """Attribute combinations of a split: `train` or `test`; none is a species' own."""
    free = sorted(set(itertools.product(*ATTRIBUTES.values())) - flora.held_out_combinations())
    order = numpy_generator(seed, "assets", "combinations").permutation(len(free))
    test, train = order[:_TEST_COMBINATIONS], order[_TEST_COMBINATIONS:]
    return [free[i] for i in (test if split == "test" else train)]  # type: ignore[misc]


def load_bank(work: Path, split: str, count: int, seed: int) -> Bank:
    """Draw `count` flowers of a split, or read them if that was done before."""
    choices = combinations(split, seed)
    specs = [_draw_spec(choices, split, index, seed) for index in range(count)]
    path = work / f"bank-{split}-{count}-{seed}-{flora.RENDERER_VERSION}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        for index, spec in enumerate(specs):
            images[index] = np.asarray(spec.load())
        partial = path.with_suffix(".partial.npy")
        np.save(partial, images)
        partial.rename(path)
    attributes = torch.tensor(
        [
            [values.index(getattr(spec, name)) for name, values in ATTRIBUTES.items()]  # type: ignore[arg-type]
            for spec in specs
        ]
    )
    return Bank(specs, np.load(path, mmap_mode="r"), attributes)


def _draw_spec(
    choices: list[tuple[str, str, str, int, str]], split: str, index: int, seed: int
) -> FlowerSpec:
    generator = numpy_generator(seed, "assets", split, index)
    colour, shape, centre, count, pattern = choices[int(generator.integers(len(choices)))]
    scent = flora.SCENTS[int(generator.integers(len(flora.SCENTS)))]
    nuisance = flora.random_nuisance(generator)
    return FlowerSpec(colour, shape, centre, count, pattern, scent, nuisance)

"""A bank of drawn flowers of attribute combinations that no species of Flora shows."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp_assets.build import words
from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.data.sources.flora import FlowerSpec
from fedmvp_flwr.data.sources.flora_render import IMAGE_SIZE
from fedmvp_flwr.pretraining.bank import Index

# Visible attributes in the order of their columns, with their values.
ATTRIBUTES: dict[str, tuple[str, ...] | tuple[int, ...]] = {
    "colour": flora.COLOURS,
    "shape": flora.SHAPES,
    "centre": flora.CENTRES,
    "count": flora.COUNTS,
    "pattern": flora.PATTERNS,
}
_TEST_COMBINATIONS = 120  # kept out of the training, to measure the bars on
_DETAILED_SHARE = 0.35  # of the captions; the rest follow the coarse prompt
# Chance of each attribute to be named after the coarse prompt. Well above those of the data set's
# captions: greedy decoding follows the likelier branch and shall name at least three.
_NAMED = {"colour": 0.95, "shape": 0.7, "count": 0.65, "pattern": 0.8, "centre": 0.6}
_NO_PROMPT = 0.1  # share of empty prompts, so that guidance can be used
_PROMPTS = ("{}", "a picture of {}", "a detailed picture of {}")


@dataclass(frozen=True)
class FlowerBank:
    """Flowers and their pictures (see `fedmvp_flwr.pretraining.bank.Bank`).

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

    @property
    def attribute_sizes(self) -> tuple[int, ...]:
        """Number of values of each attribute."""
        return tuple(len(values) for values in ATTRIBUTES.values())

    def texts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """Captions as the data set words them."""
        return [flora.caption(self.specs[i], chance) for i in index]

    def caption_pairs(self, index: Index, chance: np.random.Generator) -> list[tuple[str, str]]:
        """A prompt and its caption for each flower, then a question and its answer for each."""
        specs = [self.specs[i] for i in index]
        pairs = [_caption_pair(spec, chance) for spec in specs]
        return pairs + [_question_pair(spec, chance) for spec in specs]

    def prompts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """Prompts as they may come: a caption, partial or full, in a template; at times empty."""
        return [_random_prompt(self.specs[i], chance) for i in index]


def combinations(split: str, seed: int) -> list[tuple[str, str, str, int, str]]:
    """Attribute combinations of a split: `train` or `test`; none is a species' own."""
    free = sorted(set(itertools.product(*ATTRIBUTES.values())) - flora.held_out_combinations())
    order = numpy_generator(seed, "assets", "combinations").permutation(len(free))
    test, train = order[:_TEST_COMBINATIONS], order[_TEST_COMBINATIONS:]
    return [free[i] for i in (test if split == "test" else train)]  # type: ignore[misc]


def load_bank(work: Path, split: str, count: int, seed: int) -> FlowerBank:
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
    return FlowerBank(specs, np.load(path, mmap_mode="r"), attributes)


def _draw_spec(
    choices: list[tuple[str, str, str, int, str]], split: str, index: int, seed: int
) -> FlowerSpec:
    generator = numpy_generator(seed, "assets", split, index)
    colour, shape, centre, count, pattern = choices[int(generator.integers(len(choices)))]
    scent = flora.SCENTS[int(generator.integers(len(flora.SCENTS)))]
    nuisance = flora.random_nuisance(generator)
    return FlowerSpec(colour, shape, centre, count, pattern, scent, nuisance)


def _caption_pair(spec: FlowerSpec, chance: np.random.Generator) -> tuple[str, str]:
    if chance.random() < _DETAILED_SHARE:
        return words.DETAILED_PROMPT, words.full_caption(spec)
    return words.COARSE_PROMPT, words.visible_caption(spec, chance, _NAMED)


def _question_pair(spec: FlowerSpec, chance: np.random.Generator) -> tuple[str, str]:
    name = words.VISIBLE[int(chance.integers(len(words.VISIBLE)))]
    return words.question_prompt(name), words.value_words(name, spec)[0]


def _random_prompt(spec: FlowerSpec, chance: np.random.Generator) -> str:
    share = chance.random()
    if share < _NO_PROMPT:
        return ""
    text = words.full_caption(spec) if share < 2 * _NO_PROMPT else flora.caption(spec, chance)
    return _PROMPTS[int(chance.integers(len(_PROMPTS)))].format(text)

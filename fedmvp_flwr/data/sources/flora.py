"""Flora: an embedded data set of drawn flowers with captions, made from a seed in milliseconds.

Species share attributes, captions leave attributes out, and one attribute, the scent, is never
to be seen: neither image nor text alone settles every species, as in real fine-grained data.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.sources.flora_render import NUM_BACKGROUNDS, Nuisance, draw_flower

if TYPE_CHECKING:
    from PIL.Image import Image

_T = TypeVar("_T")

RENDERER_VERSION = 1  # part of an image's digest: raise it when a pixel changes

COLOURS = ("red", "orange", "yellow", "blue", "purple", "pink", "white")
SHAPES = ("round", "pointed", "notched")
CENTRES = ("golden", "dark", "ringed", "starry")
COUNTS = (3, 4, 5, 6, 8)
PATTERNS = ("plain", "spotted", "striped", "edged")
SCENTS = ("lemon", "honey", "mint", "musk")

MIN_STATED = 3  # attributes that every caption states at least
SECOND_CHOICE = 0.25  # how often a flower shows its species' less usual value


@dataclass(frozen=True)
class FlowerSpec:
    """All that determines one flower: what captions may state, and how it is drawn."""

    colour: str
    shape: str
    centre: str
    count: int
    pattern: str
    scent: str
    nuisance: Nuisance

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the recipe, which determines the pixels."""
        recipe = {**asdict(self), "scent": None, "renderer": RENDERER_VERSION}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    def load(self) -> "Image":
        """Draw the flower (48 x 48 RGB)."""
        from PIL import Image

        return Image.fromarray(
            draw_flower(
                self.colour, self.shape, self.centre, self.count, self.pattern, self.nuisance
            )
        )


@dataclass(frozen=True)
class Species:
    """A kind of flower; a tuple of two values means: usually the first, at times the second."""

    name: str
    colour: tuple[str, ...]
    shape: str
    centre: str
    count: tuple[int, ...]
    pattern: str
    scent: str


# Pairs and triples differ in as little as one attribute: the scent (invisible), the centre or the
# number of petals (often left out of captions), the pattern or the colour (partly shared).
SPECIES: tuple[Species, ...] = (
    Species("Aurelia montis", ("red", "orange"), "round", "golden", (5,), "plain", "honey"),
    Species("Aurelia vallis", ("red", "orange"), "round", "golden", (5,), "plain", "mint"),
    Species("Aurelia noctis", ("red",), "round", "dark", (5, 6), "plain", "honey"),
    Species("Belmora alba", ("white", "pink"), "pointed", "golden", (6,), "striped", "lemon"),
    Species("Belmora rosea", ("pink", "white"), "pointed", "golden", (6,), "striped", "musk"),
    Species("Belmora stellata", ("white",), "pointed", "starry", (6, 8), "striped", "lemon"),
    Species("Cyrenia minor", ("blue",), "notched", "ringed", (4,), "spotted", "mint"),
    Species("Cyrenia major", ("blue", "purple"), "notched", "ringed", (5,), "spotted", "mint"),
    Species("Cyrenia umbra", ("purple",), "notched", "dark", (4, 5), "spotted", "honey"),
    Species("Delvia lucens", ("yellow",), "round", "dark", (8,), "edged", "lemon"),
    Species("Delvia fulva", ("orange", "yellow"), "round", "dark", (8, 6), "edged", "musk"),
    Species("Delvia nitens", ("yellow",), "round", "ringed", (8,), "edged", "lemon"),
    Species("Erinthe prima", ("purple", "pink"), "pointed", "dark", (3,), "plain", "musk"),
    Species("Erinthe secunda", ("purple",), "pointed", "dark", (4, 3), "plain", "musk"),
    Species("Erinthe tertia", ("pink", "purple"), "pointed", "starry", (3,), "plain", "honey"),
    Species("Fioralba clara", ("white",), "notched", "golden", (5, 6), "edged", "honey"),
    Species("Fioralba mutans", ("white",), "notched", "golden", (5, 6), "edged", "lemon"),
    Species("Fioralba caelestis", ("blue", "white"), "notched", "golden", (6,), "edged", "honey"),
    Species("Galdora ignis", ("orange",), "pointed", "ringed", (5,), "striped", "mint"),
    Species("Galdora cineris", ("red", "orange"), "pointed", "ringed", (5, 6), "striped", "musk"),
    Species("Galdora solis", ("yellow", "orange"), "pointed", "starry", (5,), "striped", "mint"),
    Species("Helvine parva", ("pink",), "round", "starry", (4,), "spotted", "lemon"),
    Species("Helvine mollis", ("pink", "red"), "round", "starry", (4, 5), "spotted", "mint"),
    Species("Helvine obscura", ("red",), "round", "golden", (4,), "spotted", "lemon"),
)

COLOUR_WORDS: Mapping[str, tuple[str, ...]] = {
    "red": ("red", "crimson"),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "white": ("white",),
}
SHAPE_WORDS: Mapping[str, tuple[str, ...]] = {
    "round": ("round", "rounded"),
    "pointed": ("pointed", "sharp"),
    "notched": ("notched", "heart-shaped"),
}
COUNT_WORDS: Mapping[int, str] = {3: "three", 4: "four", 5: "five", 6: "six", 8: "eight"}
PATTERN_WORDS: Mapping[str, tuple[str, ...]] = {
    "plain": ("plain", "unmarked"),
    "spotted": ("spotted", "dotted"),
    "striped": ("striped", "streaked"),
    "edged": ("edged", "dark-rimmed"),
}
CENTRE_WORDS: Mapping[str, tuple[str, ...]] = {
    "golden": ("golden",),
    "dark": ("dark", "blackish"),
    "ringed": ("ringed",),
    "starry": ("starry", "green star-like"),
}
SCENT_WORDS: Mapping[str, tuple[str, ...]] = {
    "lemon": ("smells of lemon", "with a lemon scent"),
    "honey": ("smells of honey", "with a honey scent"),
    "mint": ("smells of mint", "with a mint scent"),
    "musk": ("smells of musk", "with a musk scent"),
}
# How often a caption states an attribute: what strikes the eye is named more often.
STATED = {
    "colour": 0.8,
    "shape": 0.6,
    "count": 0.5,
    "pattern": 0.65,
    "centre": 0.5,
    "scent": 0.5,
}
OPENINGS = ("a flower", "a blossom", "a bloom", "a wild flower")


@dataclass(frozen=True)
class Flora:
    """The data set: 24 invented species; splits train, test and, where asked for, val."""

    class_names: tuple[str, ...]
    class_descriptions: tuple[str, ...]
    splits: dict[str, tuple[Sample, ...]]


def load_flora(
    seed: int = 0, num_train: int = 1500, num_test: int = 500, num_val: int = 0
) -> Flora:
    """Make the data set; images are drawn when they are asked for.

    Args:
        seed: of the data set itself.
        num_train: training samples, dealt to the species in turn.
        num_test: test samples, likewise.
        num_val: validation samples, likewise; 0 leaves the split out.
    """
    counts = {"train": num_train, "test": num_test} | ({"val": num_val} if num_val else {})
    splits = {
        name: tuple(_sample(seed, name, i) for i in range(count)) for name, count in counts.items()
    }
    return Flora(
        tuple(species.name for species in SPECIES),
        tuple(describe(species) for species in SPECIES),
        splits,
    )


def flora_of(seed: int, data: DataSettings, _: Path) -> Flora:
    """The data set of a run: `flora` is the set 0, `flora:N` another one of the same species.

    It never changes with the seed of a run: only its use does. Another set is for tuning without
    a look at the test split of `flora`.
    """
    return load_flora(seed, data.train_samples, data.test_samples, data.validation_samples)


def held_out_combinations() -> frozenset[tuple[str, str, str, int, str]]:
    """Visible attributes (colour, shape, centre, count, pattern) that some species can show.

    The embedded foundation models are trained on the other combinations only.
    """
    return frozenset(
        (colour, s.shape, s.centre, count, s.pattern)
        for s in SPECIES
        for colour in s.colour
        for count in s.count
    )


def random_nuisance(generator: np.random.Generator) -> Nuisance:
    """Draw everything that is not an attribute."""
    return Nuisance(
        rotation=round(float(generator.uniform(0, 2 * math.pi)), 4),
        radius=round(float(generator.uniform(0.74, 0.92)), 4),
        shift=(
            round(float(generator.uniform(-0.08, 0.08)), 4),
            round(float(generator.uniform(-0.08, 0.08)), 4),
        ),
        background=int(generator.integers(NUM_BACKGROUNDS)),
        tint=round(float(generator.uniform(0.93, 1.05)), 4),
    )


def describe(species: Species) -> str:
    """One public line of what a species usually looks and smells like, without its name."""
    pattern = PATTERN_WORDS[species.pattern][0]
    return (
        f"a flower with {COUNT_WORDS[species.count[0]]} {species.shape} "
        f"{species.colour[0]} petals, {pattern}, a {species.centre} centre, "
        f"{SCENT_WORDS[species.scent][0]}"
    )


def caption(
    spec: FlowerSpec,
    generator: np.random.Generator,
    stated: Mapping[str, float] = STATED,
    minimum: int = MIN_STATED,
) -> str:
    """Describe a flower in one sentence that leaves attributes out at random.

    Args:
        spec: the flower.
        generator: draws what is stated, and in which words.
        stated: chance of each attribute to be stated, by name.
        minimum: attributes that are stated at least.
    """
    names = list(stated)
    chosen: set[str] = set()
    while len(chosen) < minimum:
        chosen = {name for name in names if generator.random() < stated[name]}

    def word(words: Mapping[str, tuple[str, ...]], value: str) -> str:
        options = words[value]
        return options[int(generator.integers(len(options)))]

    petals = [COUNT_WORDS[spec.count]] if "count" in chosen else []
    petals += [word(PATTERN_WORDS, spec.pattern)] if "pattern" in chosen else []
    petals += [word(SHAPE_WORDS, spec.shape)] if "shape" in chosen else []
    petals += [word(COLOUR_WORDS, spec.colour)] if "colour" in chosen else []
    parts = [" ".join([*petals, "petals"])] if petals else []
    parts += [f"a {word(CENTRE_WORDS, spec.centre)} centre"] if "centre" in chosen else []
    if len(parts) == 2 and generator.random() < 0.5:
        parts.reverse()
    sentence = f"{OPENINGS[int(generator.integers(len(OPENINGS)))]} with {' and '.join(parts)}"
    if "scent" in chosen:
        sentence += f", {word(SCENT_WORDS, spec.scent)}"
    return sentence


def _sample(seed: int, split: str, index: int) -> Sample:
    generator = numpy_generator(seed, "flora", split, index)
    label = index % len(SPECIES)
    species = SPECIES[label]
    spec = FlowerSpec(
        colour=_choose(species.colour, generator),
        shape=species.shape,
        centre=species.centre,
        count=_choose(species.count, generator),
        pattern=species.pattern,
        scent=species.scent,
        nuisance=random_nuisance(generator),
    )
    return Sample(f"flora-{seed}-{split}-{index:05d}", label, spec, caption(spec, generator))


def _choose(values: tuple[_T, ...], generator: np.random.Generator) -> _T:
    return values[int(len(values) > 1 and generator.random() < SECOND_CHOICE)]

import itertools
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest

from fedmvp_flwr.base.samples import ImageRef
from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.data.sources.flora import SPECIES, STATED, FlowerSpec, load_flora

ATTRIBUTES = ("colour", "shape", "count", "pattern", "centre", "scent")
VISIBLE = slice(0, 5)
WORDS = {
    "colour": flora.COLOUR_WORDS,
    "shape": flora.SHAPE_WORDS,
    "count": {count: (word,) for count, word in flora.COUNT_WORDS.items()},
    "pattern": flora.PATTERN_WORDS,
    "centre": flora.CENTRE_WORDS,
    "scent": flora.SCENT_WORDS,
}


def spec(**changes) -> FlowerSpec:
    values = {
        "colour": "red",
        "shape": "round",
        "centre": "golden",
        "count": 5,
        "pattern": "plain",
        "scent": "mint",
        "nuisance": flora.random_nuisance(np.random.default_rng(0)),
    }
    return FlowerSpec(**{**values, **changes})


def stated_in(text: str) -> dict[str, set]:
    """Values of each attribute that a caption states."""
    padded = f" {text.replace(',', ' ,')} "
    return {
        name: {value for value, words in table.items() if any(f" {w} " in padded for w in words)}
        for name, table in WORDS.items()
    }


@pytest.fixture(scope="module")
def data():
    return load_flora()


def test_sizes_balance_and_keys(data):
    assert len(data.class_names) == len(data.class_descriptions) == len(set(data.class_names)) == 24
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 1500, "test": 500}
    for split in data.splits.values():
        counts = Counter(sample.label for sample in split)
        assert max(counts.values()) - min(counts.values()) <= 1
    samples = [*data.splits["train"], *data.splits["test"]]
    assert len({sample.key for sample in samples}) == len(samples)
    assert len({sample.image.digest for sample in samples}) == len(samples)
    assert all(sample.complete and isinstance(sample.image, ImageRef) for sample in samples)


def test_samples_show_their_species(data):
    for sample in data.splits["test"]:
        species, flower = SPECIES[sample.label], sample.image
        assert flower.colour in species.colour
        assert flower.count in species.count
        for name in ("shape", "centre", "pattern", "scent"):
            assert getattr(flower, name) == getattr(species, name)


def test_captions_state_at_least_three_true_attributes_and_no_name(data):
    names = {part.lower() for name in data.class_names for part in name.split()}
    for sample in data.splits["train"]:
        stated = {name: values for name, values in stated_in(sample.text).items() if values}
        assert len(stated) >= flora.MIN_STATED, sample.text
        for name, values in stated.items():
            assert values == {getattr(sample.image, name)}, sample.text
        assert not names & set(sample.text.lower().split())


def test_captions_leave_every_attribute_out_at_times(data):
    shares = Counter()
    for sample in data.splits["train"]:
        shares.update(name for name, values in stated_in(sample.text).items() if values)
    for name in ATTRIBUTES:
        assert 0.4 < shares[name] / len(data.splits["train"]) < 0.95, name


def test_descriptions_state_the_usual_attributes_without_the_name(data):
    for species, text in zip(SPECIES, data.class_descriptions, strict=True):
        stated = stated_in(text)
        assert stated["colour"] == {species.colour[0]}
        assert stated["count"] == {species.count[0]}
        for name in ("shape", "pattern", "centre", "scent"):
            assert stated[name] == {getattr(species, name)}, text
        assert not set(species.name.lower().split()) & set(text.lower().split())


@pytest.mark.slow
def test_same_in_another_process_and_different_with_another_seed(data):
    code = (
        "from fedmvp_flwr.data.sources.flora import load_flora\n"
        "s = load_flora().splits['train'][37]\n"
        "print(s.key, s.label, s.image.digest, s.text)"
    )
    sample = data.splits["train"][37]
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert output == f"{sample.key} {sample.label} {sample.image.digest} {sample.text}"
    assert load_flora(seed=1, num_train=30).splits["train"][7].text != (
        data.splits["train"][7].text
    )


def test_a_sample_does_not_depend_on_how_many_there_are(data):
    few = load_flora(num_train=10, num_test=0)
    assert few.splits["train"] == data.splits["train"][:10]
    assert few.splits["test"] == ()


def test_digest_names_the_pixels_and_nothing_else():
    assert spec().digest == spec(scent="musk").digest
    for change in ({"colour": "blue"}, {"count": 6}, {"centre": "dark"}, {"pattern": "edged"}):
        assert spec(**change).digest != spec().digest
    assert spec(nuisance=flora.random_nuisance(np.random.default_rng(1))).digest != spec().digest
    image = spec().load()
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(spec(scent="musk").load()))


def test_held_out_combinations_are_what_the_samples_show(data):
    held_out = flora.held_out_combinations()
    shown = {
        (f.colour, f.shape, f.centre, f.count, f.pattern)
        for split in data.splits.values()
        for f in (sample.image for sample in split)
    }
    assert shown <= held_out
    total = np.prod([len(v) for v in (flora.COLOURS, flora.SHAPES, flora.CENTRES, flora.COUNTS)])
    assert len(held_out) < 0.05 * total * len(flora.PATTERNS)


def test_neither_image_nor_text_alone_settles_every_species():
    """Bayes accuracy of a reader who sees the attributes exactly, by summing over all cases."""
    image, text, both = bayes_accuracies()
    assert 0.75 <= image <= 0.85
    assert text <= 0.85
    assert 0.88 <= both <= 0.95
    assert both - max(image, text) >= 0.05


def bayes_accuracies() -> tuple[float, float, float]:
    flowers = [flower_cases(species) for species in SPECIES]
    subsets = stated_subsets()
    scent = ATTRIBUTES.index("scent")

    def accuracy(views) -> float:
        seen: dict = defaultdict(lambda: np.zeros(len(SPECIES)))
        for label, cases in enumerate(flowers):
            for values, chance in cases:
                for view, share in views(values):
                    seen[view][label] += chance * share
        return sum(chances.max() for chances in seen.values()) / len(SPECIES)

    def masked(values, subset):
        return tuple(v if stated else None for v, stated in zip(values, subset, strict=True))

    image = accuracy(lambda values: [(values[VISIBLE], 1.0)])
    text = accuracy(lambda values: [(masked(values, m), p) for m, p in subsets])
    both = accuracy(
        lambda values: [
            (values[VISIBLE] + ((values[scent] if m[scent] else None),), p) for m, p in subsets
        ]
    )
    return image, text, both


def flower_cases(species) -> list[tuple[tuple, float]]:
    def choices(values):
        if len(values) == 1:
            return [(values[0], 1.0)]
        return [(values[0], 1 - flora.SECOND_CHOICE), (values[1], flora.SECOND_CHOICE)]

    return [
        ((colour, species.shape, count, species.pattern, species.centre, species.scent), p * q)
        for (colour, p), (count, q) in itertools.product(
            choices(species.colour), choices(species.count)
        )
    ]


def stated_subsets() -> list[tuple[tuple[bool, ...], float]]:
    subsets = []
    for subset in itertools.product((False, True), repeat=len(ATTRIBUTES)):
        if sum(subset) >= flora.MIN_STATED:
            shares = (
                STATED[name] if stated else 1 - STATED[name]
                for name, stated in zip(ATTRIBUTES, subset, strict=True)
            )
            subsets.append((subset, float(np.prod(list(shares)))))
    total = sum(p for _, p in subsets)
    return [(subset, p / total) for subset, p in subsets]

from dataclasses import replace

import numpy as np
import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.missing import random_mask

KEYS = [f"sample-{i}" for i in range(40)]


def draw(ratio=0.8, share=0.5, keys=KEYS, seed=0):
    return random_mask(keys, ratio, share, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("ratio", "share", "images", "texts"),
    [
        (0.8, 0.5, 16, 16),
        (0.8, 0.25, 8, 24),
        (0.5, 1.0, 20, 0),
        (0.5, 0.0, 0, 20),
        (0.0, 0.5, 0, 0),
        (0.999, 0.5, 20, 19),
    ],
)
def test_as_many_holes_as_asked_for(ratio, share, images, texts):
    mask = draw(ratio, share)
    assert mask.present["image"].count(False) == images
    assert mask.present["text"].count(False) == texts


@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.8, 0.99])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_no_sample_loses_both_and_one_pair_stays(ratio, count):
    mask = draw(ratio, keys=KEYS[:count])
    pairs = list(zip(mask.present["image"], mask.present["text"], strict=True))
    assert all(image or text for image, text in pairs)
    assert any(image and text for image, text in pairs)


def test_chance_decides_and_the_seed_decides_chance():
    assert draw(seed=1) == draw(seed=1)
    assert draw(seed=1) != draw(seed=2)
    counts = np.sum([draw(0.5, 1.0, seed=s).present["image"] for s in range(400)], axis=0)
    assert counts.min() > 140  # each sample keeps its image in half of the draws
    assert counts.max() < 260


def test_the_mask_makes_the_holes():
    samples = [Sample(key, 0, object(), "text") for key in KEYS]
    mask = draw()
    for sample, image, text in zip(
        mask.apply(samples), mask.present["image"], mask.present["text"], strict=True
    ):
        assert (sample.image is not None, sample.text is not None) == (image, text)
    assert all(sample.complete for sample in samples)


def test_a_mask_fits_its_own_samples_only():
    samples = [Sample(key, 0, object(), "text") for key in KEYS]
    mask = draw()
    for others in (samples[::-1], samples[:-1], [replace(samples[0], key="x"), *samples[1:]]):
        with pytest.raises(DataError, match="other samples"):
            mask.apply(others)


def test_the_record_names_samples_and_holes():
    record = draw(0.5, keys=KEYS[:4]).record()
    assert record["keys"] == KEYS[:4]
    assert sorted(record["present"]) == ["image", "text"]
    assert sum(record["present"]["image"]) + sum(record["present"]["text"]) == 6
    assert record_hash(draw(seed=1).record()) == record_hash(draw(seed=1).record())
    assert record_hash(draw(seed=1).record()) != record_hash(draw(seed=2).record())


def test_a_ratio_that_leaves_no_pair_is_refused():
    with pytest.raises(DataError, match="keep at least one"):
        draw(ratio=1.0)


def test_nobody_without_samples():
    with pytest.raises(DataError, match="without samples"):
        draw(keys=[])


def real(images, texts, **arguments):
    """A mask over samples that lack some modalities themselves."""
    keys = [str(i) for i in range(len(images))]
    has = {"image": images, "text": texts}
    settings = {"ratio": 0.8, "share": 0.5, "seed": 0} | arguments
    return random_mask(
        keys,
        settings["ratio"],
        settings["share"],
        np.random.default_rng(settings["seed"]),
        has,
        keep_pair=settings.get("keep_pair", True),
    )


def counts(mask):
    return [mask.present[name].count(False) for name in ("image", "text")]


def test_real_holes_count_towards_the_ratio():
    images, texts = [i >= 10 for i in range(40)], [True] * 40
    assert counts(real(images, texts)) == [16, 16]
    assert counts(real(images, texts, share=0.0)) == [10, 22]
    assert counts(real(images, texts, ratio=0.2)) == [10, 0]
    assert counts(real(images, texts, ratio=0.0)) == [10, 0]


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_with_a_hole_never_loses_the_rest(seed):
    generator = np.random.default_rng(seed)
    images = generator.uniform(size=60) < 0.7
    texts = ~images | (generator.uniform(size=60) < 0.5)
    mask = real(images, texts, ratio=0.9, seed=seed)
    for i in range(60):
        there = mask.present["image"][i], mask.present["text"][i]
        assert any(there)
        if not (images[i] and texts[i]):
            assert there == (images[i], texts[i])


def test_data_without_any_pair_is_left_as_it_is():
    assert counts(real([True] * 5, [False] * 5)) == [0, 5]
    assert counts(real([True] * 5, [False] * 5, ratio=1.0, keep_pair=False)) == [0, 5]


def test_a_test_set_may_lose_every_pair():
    assert counts(real([True] * 10, [True] * 10, ratio=1.0, keep_pair=False)) == [5, 5]


def test_complete_data_draws_the_same_holes_with_and_without_flags():
    assert real([True] * 40, [True] * 40).present == draw(keys=[str(i) for i in range(40)]).present

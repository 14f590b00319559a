from dataclasses import replace

import numpy as np
import pytest

from fedmvp_flwr.data.missing import random_mask
from fedmvp_flwr.data.records import record_hash
from fedmvp_flwr.data.samples import Sample
from fedmvp_flwr.errors import DataError

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


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_ratios_out_of_range_are_refused(bad):
    with pytest.raises(DataError, match="missing-ratio"):
        draw(ratio=bad)
    with pytest.raises(DataError, match="missing-image-share"):
        draw(share=bad)


def test_a_ratio_that_leaves_no_pair_is_refused():
    with pytest.raises(DataError, match="keep at least one"):
        draw(ratio=1.0)


def test_nobody_without_samples():
    with pytest.raises(DataError, match="without samples"):
        draw(keys=[])

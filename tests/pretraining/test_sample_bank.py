import numpy as np
import pytest
import torch

from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.pretraining.bank import pixels_of
from fedmvp_flwr.pretraining.sample_bank import (
    CAPTION_PROMPTS,
    IMAGE_PROMPTS,
    load_sample_bank,
    samples_hash,
)
from fedmvp_flwr.pretraining.split import load_pairs


@pytest.fixture
def samples(config):
    return load_pairs(config.data, cache_folder(config.run), "public", 0).train


@pytest.fixture
def bank(samples, tmp_path):
    return load_sample_bank(samples, 16, tmp_path / "work", num_classes=3)


def test_images_are_the_samples_own_at_the_models_size(bank, samples):
    assert bank.images.shape == (len(samples), 16, 16, 3)
    for image, sample in zip(bank.images, samples, strict=True):
        colour = bank.captions[samples.index(sample)].split()[1]
        assert ("red", "green", "blue")[image.mean(axis=(0, 1)).argmax()] == colour
    index = np.array([4, 0])
    pixels = pixels_of(bank, index)
    assert pixels.shape == (2, 3, 16, 16)
    expected = bank.images[4].transpose(2, 0, 1) / 127.5 - 1
    assert np.allclose(pixels[0].numpy(), expected, atol=1e-6)


def test_images_are_decoded_once(bank, samples, tmp_path):
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "work").iterdir()}
    load_sample_bank(samples, 16, tmp_path / "work")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "work").iterdir()} == files
    load_sample_bank(samples[:5], 16, tmp_path / "work")
    assert len(list((tmp_path / "work").iterdir())) == len(files) + 1


def test_labels_are_attributes_only_if_asked_for(bank, samples, tmp_path):
    assert bank.attributes.flatten().tolist() == [sample.label for sample in samples]
    assert bank.attribute_sizes == (3,)
    plain = load_sample_bank(samples, 16, tmp_path / "work")
    assert plain.attributes.shape == (len(samples), 0)
    assert plain.attribute_sizes == ()
    assert plain.attributes.dtype == torch.int64


def test_texts_pairs_and_prompts_are_about_the_images(bank):
    index = np.arange(len(bank.images))
    chance = np.random.default_rng(0)
    assert bank.texts(index, chance) == list(bank.captions)
    pairs = bank.caption_pairs(index, chance)
    assert [text for _, text in pairs] == list(bank.captions)
    assert {prompt for prompt, _ in pairs} == set(CAPTION_PROMPTS)
    many = np.repeat(index, 20)
    prompts = bank.prompts(many, chance)
    for row, prompt in zip(many, prompts, strict=True):
        allowed = {p.replace("{}", bank.captions[row]) for p in IMAGE_PROMPTS} | {""}
        assert prompt in allowed
    assert 0.05 < prompts.count("") / len(prompts) < 0.16


def test_the_hash_is_that_of_images_and_texts(samples):
    assert samples_hash(samples) == samples_hash(list(samples))
    assert samples_hash(samples) != samples_hash(samples[1:])

from dataclasses import dataclass

import pytest
import torch

from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.pretraining.measure import TOP, measure_captioner, measure_encoder, recall
from fedmvp_flwr.pretraining.split import load_pairs


@dataclass
class Pooled:
    pooled: torch.Tensor


class ByNumber:
    """Encodes a text or an image as a one-hot vector of what it is, shifted."""

    def __init__(self, samples, shift):
        self._rows = {s.text: i for i, s in enumerate(samples)}
        self._rows |= {s.image.load().tobytes(): i for i, s in enumerate(samples)}
        self._shift = shift

    def encode(self, items):
        names = [item if isinstance(item, str) else item.tobytes() for item in items]
        eye = torch.eye(len(self._rows))
        return [Pooled(eye[(self._rows[n] + self._shift) % len(self._rows)]) for n in names]


class Models:
    def __init__(self, image_encoder=None, text_encoder=None, captioner=None):
        self.image_encoder, self.text_encoder = image_encoder, text_encoder
        self.captioner = captioner


@pytest.fixture
def samples(config):
    return load_pairs(config.data, cache_folder(config.run), "public", 0).train


def test_recall_against_a_slow_loop():
    similarity = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
    found = 0
    for row in range(20):
        better = sum(float(similarity[row, c] > similarity[row, row]) for c in range(20))
        found += better < TOP
    assert recall(similarity) == pytest.approx(found / 20)


def test_recall_of_few_pairs_is_that_of_chance():
    assert recall(torch.rand(3, 3)) == 1.0


def test_an_encoder_that_knows_the_pairs_finds_them_all(samples):
    right = Models(ByNumber(samples, 0), ByNumber(samples, 0))
    figures = measure_encoder(right, samples)
    assert figures["image-to-text-r5"] == figures["text-to-image-r5"] == 1.0
    assert figures["pairs"] == len(samples)
    assert figures["chance-r5"] == pytest.approx(TOP / len(samples))


def test_a_captioner_that_tells_the_truth_and_one_that_does_not_look(samples):
    texts = {s.image.load().tobytes(): s.text for s in samples}

    class Truth:
        def caption_each(self, images, prompts):
            return [[texts[image.tobytes()] for image in images] for _ in prompts]

    class Blind:
        def caption_each(self, images, prompts):
            return [["A square, whatever it is"] * len(images) for _ in prompts]

    truth = measure_captioner(Models(captioner=Truth()), samples)
    assert truth["rouge-l"] == 1.0
    assert truth["rouge-l-of-another"] < 1.0
    assert truth["distinct"] == 1.0
    blind = measure_captioner(Models(captioner=Blind()), samples)
    assert blind["rouge-l"] == pytest.approx(blind["rouge-l-of-another"])
    assert blind["distinct"] == pytest.approx(1 / len(samples))

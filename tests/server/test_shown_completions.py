import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.server import shown_completions as module
from fedmvp_flwr.server.shown_completions import save_shown_completions

COUNT = 20
SIDES = ("image", "text")
SIMILARITY = torch.arange(float(COUNT)) / COUNT
SIMILARITY[::4] = torch.nan
ACCEPTED = torch.arange(COUNT) % 3 == 0


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@dataclass(frozen=True)
class Reference:
    seed: int

    def load(self):
        return picture(self.seed)


class Prepared:
    """As much of a completed test set as the report is told."""

    def __init__(self, count):
        self.count = count
        self.similarity = dict.fromkeys(SIDES, SIMILARITY)

    def __len__(self):
        return self.count


def completion(sample, modality):
    """An image or a text that tells the sample that it was made for."""
    number = int(sample.key.removeprefix("test-"))
    return picture(100 + number) if modality == "image" else f"completion of {sample.key}"


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Show some completions of a test set; returns the rows that were written, if any."""

    def run(made=completion, *, count=COUNT, seed=0, completes=True, images=True):
        monkeypatch.setattr(module, "load_completion", lambda _, sample, m, *__: made(sample, m))
        samples = [
            Sample(f"test-{i}", i % 2, Reference(i) if images else None, f"text {i}")
            for i in range(count)
        ]
        data = SimpleNamespace(class_names=("rose", "lily"), splits={"test": samples})
        completer, accepted = SimpleNamespace(completes=completes), dict.fromkeys(SIDES, ACCEPTED)
        folder = RunFolder(tmp_path)
        save_shown_completions(folder, data, Prepared(count), accepted, completer, None, seed)
        if not folder.completions_index.exists():
            return None
        return json.loads(folder.completions_index.read_text())["completions"]

    return run


def test_images_and_texts_in_turn_beside_their_originals(save, tmp_path):
    rows = save()
    assert len(rows) == 12
    assert len({row["key"] for row in rows}) == 12
    for position, row in enumerate(rows):
        number = int(row["key"].removeprefix("test-"))
        assert row["class-name"] == ("rose", "lily")[number % 2]
        assert row["original-text"] == f"text {number}"
        original = Image.open(tmp_path / "completions" / row["original-image"])
        assert np.array_equal(original, picture(number))
        if position % 2:
            assert (row["source"], row["generated-image"]) == ("image", None)
            assert row["generated-text"] == f"completion of test-{number}"
        else:
            assert (row["source"], row["generated-text"]) == ("text", None)
            made = Image.open(tmp_path / "completions" / row["generated-image"])
            assert np.array_equal(made, picture(100 + number))
        similarity = None if number % 4 == 0 else pytest.approx(number / COUNT)
        assert (row["similarity"], row["accepted"]) == (similarity, number % 3 == 0)


def test_the_seed_chooses_them(save):
    keys = [[row["key"] for row in save(seed=seed)] for seed in (0, 0, 1)]
    assert keys[0] == keys[1] != keys[2]


def test_what_has_no_completion_or_no_image_is_not_shown(save):
    rows = save(lambda sample, modality: None if modality == "image" else "a text")
    assert [row["source"] for row in rows] == ["image"] * 6
    assert save(images=False) == []


@pytest.mark.parametrize("nothing", [{"count": 0}, {"completes": False}], ids=str)
def test_without_a_test_set_or_completions_nothing_is_written(save, tmp_path, nothing):
    assert save(**nothing) is None
    assert list(tmp_path.iterdir()) == []

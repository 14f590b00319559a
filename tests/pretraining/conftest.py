"""A miniature public split: coloured squares with a sentence each."""

import json

import numpy as np
import pytest

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}


def square(colour: str, index: int):
    """A noisy square of a colour; wider than high."""
    from PIL import Image

    noise = np.random.default_rng(index).integers(-20, 20, (20, 30, 3))
    return Image.fromarray((np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8))


def write_folder(root, splits):
    """Write images and metadata.jsonl; `splits` is split -> number of samples (split may be "")."""
    (root / "images").mkdir(parents=True)
    rows = []
    for split, count in splits.items():
        for i in range(count):
            colour = list(COLOURS)[i % len(COLOURS)]
            name = f"images/{split}{i}.png"
            square(colour, i).save(root / name)
            row = {"file_name": name, "label": colour, "text": f"A {colour} square, number {i}."}
            rows.append(row | ({"split": split} if split else {}))
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "squares"
    write_folder(root, {"public": 24, "train": 12, "test": 6})
    rows = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    rows[3]["text"] = None  # a real hole in the public split
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


@pytest.fixture
def config(folder, tmp_path):
    from fedmvp_flwr import RunConfig

    return RunConfig.of(dataset=f"folder:{folder}", cache_dir=str(tmp_path / "cache"), device="cpu")


@pytest.fixture
def write():
    return write_folder


TINY = {
    "image_size": 16,
    "patch": 4,
    "width": 32,
    "vision_layers": 1,
    "text_layers": 1,
    "context": 24,
    "autoencoder_width": 8,
    "latent_channels": 4,
    "generator_heads": 2,
    "generator_head_width": 16,
    "generator_layers": 1,
}


@pytest.fixture
def job_of(tmp_path):
    """Make a job of random images with a text each."""
    import torch

    from fedmvp_flwr.pretraining.job import Budget, Job
    from fedmvp_flwr.pretraining.sample_bank import SampleBank
    from fedmvp_flwr.pretraining.shape import Shape
    from fedmvp_flwr.pretraining.tokenizer import learn_tokenizer

    def make(count=6, steps=2, sizes=(), work=tmp_path, **shape):
        shape = Shape(**TINY | shape)
        chance = np.random.default_rng(0)
        size = shape.image_size
        images = chance.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        texts = tuple(f"a picture of {i} red bags" for i in range(count))
        attributes = torch.zeros(count, len(sizes), dtype=torch.int64)
        bank = SampleBank(images, texts, attributes, sizes)
        tokenizer = learn_tokenizer(texts * 3, 300, shape.context)
        return Job(bank, work, Budget(steps, 60), 0, shape, tokenizer)

    return make

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

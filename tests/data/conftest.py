"""Miniature data sets, built by the tests that read them."""

import json

import numpy as np
import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.data.sources.registry import load_dataset


def picture(index=0, size=(12, 10), mode="RGB"):
    """A small image whose pixels depend on `index`."""
    from PIL import Image

    pixels = np.random.default_rng(index).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(name="picture")
def picture_fixture():
    return picture


@pytest.fixture
def settings(tmp_path):
    """Build what a source is loaded with: the settings, and a cache in the test's own folder."""

    def build(dataset="flora", **keys):
        load_dataset.cache_clear()  # a test may change the files under the same settings
        return RunConfig.of(dataset=dataset, **keys).data, tmp_path / "cache"

    return build


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(name="write_jsonl")
def write_jsonl_fixture():
    return write_jsonl


def rows_of(count):
    return [
        {
            "file_name": f"images/{i}.png",
            "text": f"text of {i}",
            "label": "ab"[i % 2],
            "split": "test" if i % 5 == 4 else "train",
            "site": f"hospital {i % 3}",
        }
        for i in range(count)
    ]


@pytest.fixture
def folder(tmp_path):
    """Build a folder of ten images with `metadata.jsonl`; `change` may edit the rows first."""

    def build(change=lambda rows: rows, count=10, name="folder"):
        root = tmp_path / name
        (root / "images").mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(i).save(root / "images" / f"{i}.png")
        rows = rows_of(count)
        write_jsonl(root / "metadata.jsonl", change(rows) or rows)
        return root

    return build

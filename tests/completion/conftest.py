import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config import RunConfig

_NAME = "fedmvp_tiny_models"


@dataclass(frozen=True)
class RandomImage:
    """An image that is known by its recipe; `load` fails where a test forbids it."""

    seed: int
    forbidden: bool = False

    @property
    def digest(self):
        return hashlib.sha256(f"random image {self.seed}".encode()).hexdigest()

    def load(self):
        assert not self.forbidden, f"image {self.seed} was decoded"
        pixels = np.random.default_rng(self.seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


_TEXTS = (
    "a red flower with five petals",
    "the blue flower",
    "Blümchen, 花 🌸",
    "",
    "a yellow centre",
)


def make_samples(count=10, forbidden=False):
    """Samples that lack nothing, the text, the image, nothing, ... in turn; texts repeat."""
    samples = []
    for index in range(count):
        image = RandomImage(index, forbidden) if index % 3 != 2 else None
        text = _TEXTS[index % len(_TEXTS)] if index % 3 != 1 else None
        samples.append(Sample(f"sample-{index}", index % 2, image, text))
    return samples


def holes(samples):
    return {m: [not sample.has(m) for sample in samples] for m in ("image", "text")}


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory):
    path = Path(__file__).parents[1] / "foundation" / "tiny_models.py"
    if _NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(_NAME, path)
        sys.modules[_NAME] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[_NAME])
    tiny, root = sys.modules[_NAME], tmp_path_factory.mktemp("models")
    return {
        "clip": tiny.build_open_clip(root / "clip"),
        "other-clip": tiny.build_open_clip(root / "other-clip", seed=1, custom_text=True),
        "blip": tiny.build_blip(root / "blip"),
        "pixart": tiny.build_pixart(root / "pixart"),
    }


@pytest.fixture(scope="session")
def tiny_config(tiny_folders):
    return RunConfig.of(
        image_encoder=f"open_clip:local:{tiny_folders['clip']}",
        text_encoder=f"open_clip:local:{tiny_folders['clip']}",
        captioner=f"transformers:local:{tiny_folders['blip']}",
        image_generator=f"diffusers:local:{tiny_folders['pixart']}",
        caption_questions="what colour are the petals? => {} petals; what is the centre like?",
        text_max_tokens=8,
        foundation_batch_size=3,
    )


@pytest.fixture
def samples():
    return make_samples()


@pytest.fixture
def forbidden_samples():
    return make_samples(forbidden=True)


@pytest.fixture(name="holes")
def holes_fixture():
    return holes


@pytest.fixture(name="random_image")
def random_image_fixture():
    return RandomImage

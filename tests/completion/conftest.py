import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion import pipeline
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore
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


def _completer_of(models, config, pool=()):
    return completer_class(config.completion)(
        models, config.completion, config.data.data_seed, pool
    )


def _prepare(
    samples, complete, config, root, models=None, *, class_names=(), pool=(), on_progress=None
):
    models = models or frozen_models(config)
    request = Request(samples, complete, _completer_of(models, config, pool), class_names)
    with FeatureStore(root) as store:
        return pipeline.prepare([request], store, on_progress)[0]


def _load_completion(sample, modality, *, models, store, config, class_names=(), pool=()):
    completer = _completer_of(models, config, pool)
    return pipeline.load_completion(completer, sample, modality, store, class_names)


def _same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left.nan_to_num(7.0), right.nan_to_num(7.0))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    return _same(vars(left), vars(right)) if hasattr(left, "__dict__") else left == right


@pytest.fixture(scope="session")
def completer_of():
    """Make the completer that a configuration names."""
    return _completer_of


@pytest.fixture(scope="session")
def prepare():
    """Prepare one request with a store in a folder."""
    return _prepare


@pytest.fixture(scope="session")
def load_completion():
    """Load a completion by the configuration that it was made with."""
    return _load_completion


@pytest.fixture(scope="session")
def same():
    """Whether two trees of tensors are equal to the bit, NaN included."""
    return _same


@pytest.fixture(scope="session")
def shared_models(tiny_config):
    return frozen_models(tiny_config)


@pytest.fixture
def prepared(samples, holes, tiny_config, shared_models, tmp_path):
    return _prepare(samples, holes(samples), tiny_config, tmp_path, shared_models)

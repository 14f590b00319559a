import pytest

from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels


@pytest.fixture(scope="session")
def folders(built):
    """Captioners, each real class built tiny, by a short name."""
    return {
        "opt": built("blip2"),
        "t5": built("blip2", seq2seq=True),
        "chat": built("llava"),
        "no-chat": built("llava", chat=False),
        "blip": built("blip"),
    }


@pytest.fixture(scope="session")
def captioner():
    """Load the captioner of a folder with some options."""

    def load(folder, options=""):
        settings = ModelSettings(captioner=f"transformers:{folder}?{options}")
        return FoundationModels(settings).captioner

    return load


@pytest.fixture(scope="session")
def caption():
    """Caption images by one prompt."""
    return lambda captioner, images, prompt: captioner.caption_each(images, [prompt])[0]

import importlib.util
import sys
from pathlib import Path

import pytest

_NAME = "fedmvp_tiny_models"


def tiny_models_module():
    """Import the builders once per process, without a package of tests."""
    if _NAME not in sys.modules:
        path = Path(__file__).with_name("tiny_models.py")
        spec = importlib.util.spec_from_file_location(_NAME, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]


@pytest.fixture(scope="session")
def model_root(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def clip_folder(model_root):
    return tiny_models_module().build_open_clip(model_root / "clip")


@pytest.fixture(scope="session")
def blip_folder(model_root):
    return tiny_models_module().build_blip(model_root / "blip")


@pytest.fixture(scope="session")
def pixart_folder(model_root):
    return tiny_models_module().build_pixart(model_root / "pixart")


@pytest.fixture(scope="session")
def stable_diffusion_folder(model_root):
    return tiny_models_module().build_stable_diffusion(model_root / "stable-diffusion")


@pytest.fixture
def tiny():
    return tiny_models_module()

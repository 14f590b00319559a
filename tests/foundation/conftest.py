import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def built(tiny_models_module, tmp_path_factory):
    """Build a tiny model once, by the name of its builder; who changes the folder takes a copy."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def folder(name, *arguments, **options):
        key = (name, arguments, tuple(options.items()))
        if key not in made:
            build = getattr(tiny_models_module, f"build_{name}")
            made[key] = build(root / f"{name}-{len(made)}", *arguments, **options)
        return made[key]

    return folder


@pytest.fixture
def copied(built, tmp_path):
    """The same as a copy of the test's own."""
    return lambda name, *arguments, **options: shutil.copytree(
        built(name, *arguments, **options), tmp_path / name
    )


@pytest.fixture(scope="session")
def images():
    rng = np.random.default_rng(0)
    sizes = [(20, 24), (16, 16), (40, 16), (5, 5)]
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in sizes]


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)

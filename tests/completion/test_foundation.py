"""The keys of stored completions: settings that existed go on giving the same ones."""

import pytest

from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels


@pytest.fixture
def key_of(monkeypatch):
    """The beginning of the key of a completion by the embedded models with some options."""
    monkeypatch.setattr(FoundationModels, "fingerprint", lambda _, role: f"fingerprint of {role}")

    def key(modality, class_name=None, **options):
        specs = {
            "image_generator": f"diffusers:embedded?{options.get('image_generator', '')}",
            "captioner": f"transformers:embedded?{options.get('captioner', '')}",
        }
        config = RunConfig.of(**specs)
        completer = FoundationCompleter(FoundationModels(config.models), config.completion)
        return completer.key(modality, "d" * 64, class_name, "sample")[:16]

    return key


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("", "5387a4ade706ee3e"),
        ("batch=2&offload=model", "5387a4ade706ee3e"),
        ("steps=2", "78393e3158983296"),
        ("steps=1&guidance=0", "d792dc47073a751a"),
        ("guidance=3.5", "49cb90c95c0b327e"),
        ("size=512", "de8b2705ae7de75f"),
        ("dtype=fp16", "7cf3ca5d29fc2d92"),
        ("steps=4&guidance=2&size=24&dtype=bf16", "06319e24c21eac8d"),
    ],
)
def test_keys_of_stored_images_stay_what_they_were(options, key, key_of):
    assert key_of("image", image_generator=options) == key
    assert key_of("image", image_generator=options, captioner="max-tokens=5") == key


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("", "1c51129e38093195"),
        ("batch=3", "1c51129e38093195"),
        ("dtype=bf16", "f7a53087d321bfd3"),
        ("max-tokens=40", "3abf6a6e244b0125"),
        ("dtype=fp16&max-tokens=5", "3a77eed6f55b5c58"),
    ],
)
def test_keys_of_stored_texts_stay_what_they_were(options, key, key_of):
    assert key_of("text", "lily", captioner=options) == key
    assert key_of("text", "lily", captioner=options, image_generator="steps=5") == key

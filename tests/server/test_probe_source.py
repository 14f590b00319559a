"""The files of generated probes: settings that existed go on giving the same ones."""

from types import SimpleNamespace

import pytest

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.server.probe_source import generated_probe_file


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ("", "61f340a6ab6d01c0"),
        ("batch=2&offload=model", "61f340a6ab6d01c0"),
        ("steps=2", "ac659a57ebf84e53"),
        ("steps=1&guidance=0", "e144ab242342155f"),
        ("guidance=3.5", "dbdc9a72da36dad0"),
        ("size=512", "236d17da32c25118"),
        ("dtype=fp16", "7b139b3910341c62"),
        ("steps=4&guidance=2&size=24&dtype=bf16", "f6c4a247507d2194"),
    ],
)
def test_names_of_generated_probes_stay_what_they_were(options, key, tmp_path, monkeypatch):
    monkeypatch.setattr(FoundationModels, "fingerprint", lambda _, role: f"fingerprint of {role}")
    config = RunConfig.of(cache_dir=str(tmp_path), image_generator=f"diffusers:embedded?{options}")
    data = SimpleNamespace(class_descriptions=("a red flower", "a blue flower"))
    path = generated_probe_file(data, config, FoundationModels(config.models))
    assert path.parent == tmp_path / "probes"
    assert path.stem[:16] == key

from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.server import probe_source
from fedmvp_flwr.server.probe import Probe, load_probe, save_probe
from fedmvp_flwr.server.probe_source import generated_probe_file, prepare_probe


class Models(FoundationModels):
    """Models of which nothing is there but their names."""

    image_generator = image_encoder = text_encoder = None

    def fingerprint(self, role):
        return f"fingerprint of {role}"


@pytest.fixture
def prepared(tmp_path):
    """Prepare the probe of a run, of data with or without a public split."""

    def make(public=(), **settings):
        config = RunConfig.of(**settings)
        data = SimpleNamespace(
            class_descriptions=("a red one", "a blue one"), splits={"public": public}
        )
        models = Models(config.models)
        return prepare_probe(data, config.probe, config.data, models, tmp_path)

    return make


@pytest.fixture
def probe(make_batch):
    return Probe(make_batch(4))


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
def test_names_of_generated_probes_stay_what_they_were(options, key, tmp_path):
    config = RunConfig.of(image_generator=f"diffusers:embedded?{options}")
    data = SimpleNamespace(class_descriptions=("a red flower", "a blue flower"))
    path = generated_probe_file(data, config.probe, 0, Models(config.models), tmp_path)
    assert path.parent == tmp_path / "probes"
    assert path.stem[:16] == key


def test_a_given_probe_is_used(prepared, probe, tmp_path):
    save_probe(tmp_path / "p.safetensors", probe)
    given = prepared(probe_source=f"file:{tmp_path}/p.safetensors")
    assert given.digest == probe.digest
    with pytest.raises(DataError, match="cannot be used"):
        prepared(probe_source=f"file:{tmp_path}/q")


def test_a_probe_is_generated_once_and_again_when_damaged(prepared, probe, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(probe_source, "generate_probe", lambda *a: calls.append(a) or probe)
    for _ in range(2):
        assert prepared().digest == probe.digest
    assert len(calls) == 1
    (path,) = (tmp_path / "probes").iterdir()
    path.write_bytes(path.read_bytes()[:-7])
    prepared()
    assert len(calls) == 2
    assert load_probe(path).digest == probe.digest
    prepared(data_seed=9)
    assert len(calls) == 3


def test_a_probe_of_public_pairs(prepared, make_batch, monkeypatch):
    chosen = []

    def encode(samples, *_):
        chosen.append([sample.key for sample in samples])
        return SimpleNamespace(real=make_batch(len(samples)))

    monkeypatch.setattr(probe_source, "encode", encode)
    image = SimpleNamespace(digest="0a")
    public = [Sample(f"{i % 2}-{i}", i % 2, image, "text") for i in range(12)]
    public.append(Sample("hole", 0, None, "no image"))
    settings = {"probe_source": "public", "probe_per_class": 4}
    for _ in range(2):
        prepared(public, **settings)
    assert chosen[0] == chosen[1]
    assert [key[0] for key in chosen[0]] == ["0"] * 4 + ["1"] * 4
    with pytest.raises(DataError, match="public-split"):
        prepared(**settings)


def test_one_public_pair_is_no_probe(prepared):
    pair = Sample("a", 0, SimpleNamespace(digest="0a"), "text")
    with pytest.raises(DataError, match="has one complete pair: CKA needs a probe of at least 2"):
        prepared([pair], probe_source="public")

import pytest
import torch

from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.tensor_file import save_tensors, tensors_digest
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.server import probe as module
from fedmvp_flwr.server.probe import (
    PROBE_FRAMES,
    Probe,
    ProbeRepresenter,
    generate_probe,
    load_probe,
    probe_texts,
    require_fitting,
    save_probe,
)


@pytest.fixture
def probe(make_batch):
    return Probe(make_batch(6))


class FakeGenerator:
    def __init__(self):
        self.calls = []

    def generate(self, prompts, seeds):
        self.calls.append((list(prompts), list(seeds)))
        return [f"{prompt}|{seed}" for prompt, seed in zip(prompts, seeds, strict=True)]


class FakeEncoder:
    """Features that depend on the content alone."""

    def __init__(self, token_width, pooled_width):
        self.token_width, self.pooled_width = token_width, pooled_width

    def encode(self, items):
        features = []
        for item in items:
            generator = torch.Generator().manual_seed(sum(map(ord, item)))
            length = 1 + len(item) % 3
            features.append(
                ModalityFeatures(
                    torch.randn(length, self.token_width, generator=generator).half(),
                    torch.randn(self.pooled_width, generator=generator).half(),
                )
            )
        return features


def generated(batch_size, seed=0, texts=None):
    texts = texts or probe_texts(["a red one", "a blue one", "round"], 2)
    generator = FakeGenerator()
    made = generate_probe(texts, generator, FakeEncoder(6, 7), FakeEncoder(5, 4), seed, batch_size)
    return made, generator


def test_every_class_is_described_by_all_frames_in_turn():
    texts = probe_texts(["a rose", "a lily"], 5)
    assert [label for label, _ in texts] == [0] * 5 + [1] * 5
    assert [t for _, t in texts[:4]] == [frame.format("a rose") for frame in PROBE_FRAMES]
    assert texts[4] == texts[0]


def test_a_generated_probe_is_complete_labelled_and_flagged():
    probe, generator = generated(batch_size=4)
    assert probe.batch.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert [len(prompts) for prompts, _ in generator.calls] == [4, 2]
    for values in probe.batch.modalities.values():
        assert values.present.all()
        assert values.generated.all()
    assert probe.batch.modalities["image"].tokens.shape[2] == 6
    assert probe.batch.modalities["text"].pooled.shape[1] == 4


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_a_probe_does_not_depend_on_the_batches(batch_size):
    assert generated(batch_size)[0].digest == generated(3)[0].digest


def test_each_sample_has_its_own_seed():
    _, generator = generated(batch_size=4)
    seeds = [seed for _, batch in generator.calls for seed in batch]
    assert len(set(seeds)) == 6
    assert generated(4, seed=1)[0].digest != generated(4, seed=0)[0].digest


def test_what_is_saved_comes_back(probe, tmp_path):
    save_probe(tmp_path / "a" / "probe.safetensors", probe)
    loaded = load_probe(tmp_path / "a" / "probe.safetensors")
    assert loaded.digest == probe.digest
    assert torch.equal(loaded.batch.labels, probe.batch.labels)
    for name, values in probe.batch.modalities.items():
        for field in ("tokens", "mask", "pooled", "present", "generated"):
            assert torch.equal(
                getattr(loaded.batch.modalities[name], field), getattr(values, field)
            )


def test_the_digest_depends_on_values_types_and_names(probe):
    tensors = probe.batch.tensors()
    changed = [
        {**tensors, "labels": tensors["labels"] + 1},
        {**tensors, "labels": tensors["labels"].int()},
        {**tensors, "labels": tensors["labels"][None]},
        {("other" if name == "labels" else name): value for name, value in tensors.items()},
    ]
    digests = {tensors_digest(values) for values in [tensors, *changed]}
    assert len(digests) == 5
    assert tensors_digest(dict(reversed(tensors.items()))) == probe.digest


def test_files_that_hold_no_probe_are_refused(probe, tmp_path):
    path = tmp_path / "probe.safetensors"
    with pytest.raises(DataError, match="cannot be used"):
        load_probe(path)
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match="cannot be used"):
        load_probe(path)
    save_probe(path, probe)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be used"):
        load_probe(path)


def test_changed_content_is_found(probe, tmp_path):
    path = tmp_path / "probe.safetensors"
    save_tensors(path, probe.batch.tensors(), {"probe": "0" * 64})
    with pytest.raises(DataError, match="does not match its hash"):
        load_probe(path)


def test_other_tensors_are_no_probe(tmp_path):
    save_tensors(tmp_path / "model.safetensors", {"w": torch.ones(2)}, {})
    with pytest.raises(DataError, match="cannot be used"):
        load_probe(tmp_path / "model.safetensors")


def test_a_probe_of_other_encoders_or_classes_is_refused(probe, widths):
    require_fitting(probe, widths, 3)
    with pytest.raises(DataError, match=r"image features have widths \[6, 7\].*run \[6, 9\]"):
        require_fitting(probe, widths | {"image": [6, 9]}, 3)
    with pytest.raises(DataError, match="has samples of class 2, this run knows 2 classes"):
        require_fitting(probe, widths, 2)


def other_network(widths, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        training = RunConfig.of(model_width=16, model_heads=2, model_dropout=0.5).training
        return FedMVPNetwork(training, widths, 3)


def test_representing_equals_loading_the_arrays(network, widths, probe):
    represent = ProbeRepresenter(network, "cpu")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for seed in (1, 2):
        client = other_network(widths, seed).eval()
        with torch.no_grad():
            expected = client.encoder(probe.batch.to("cpu"))
        reps = represent(pack(client.state_dict(), "fp32"), probe)
        torch.testing.assert_close(reps, expected)
    after = network.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_dropout_is_off_while_representing(widths, probe):
    client = other_network(widths, 1).train()
    represent = ProbeRepresenter(client, "cpu")
    arrays = pack(client.state_dict(), "fp32")
    assert torch.equal(represent(arrays, probe), represent(arrays, probe))


def test_batches_do_not_change_representations(network, probe, monkeypatch):
    arrays = pack(network.state_dict(), "fp32")
    whole = ProbeRepresenter(network, "cpu")(arrays, probe)
    monkeypatch.setattr(module, "_REPRESENT_BATCH", 4)
    torch.testing.assert_close(
        ProbeRepresenter(network, "cpu")(arrays, probe), whole, atol=1e-5, rtol=1e-4
    )

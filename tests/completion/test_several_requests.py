"""Several requests at once: the bits as one after the other, and all images before any text."""

from dataclasses import fields, replace

import pytest
import torch

from fedmvp_flwr.completion.pipeline import prepare
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.requests import Request
from fedmvp_flwr.completion.store import FeatureStore


def flags(samples):
    return {m: [not sample.has(m) for sample in samples] for m in ("image", "text")}


def same(left, right):
    if isinstance(left, torch.Tensor):
        return torch.equal(left.nan_to_num(7.0), right.nan_to_num(7.0))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return same(vars(left), vars(right)) if hasattr(left, "__dict__") else left == right


class Recorder:
    """Models that write down the order in which contents are encoded."""

    def __init__(self, models):
        self.models, self.order = models, []

    def __getattr__(self, name):
        return getattr(self.models, name)

    @property
    def gate(self):
        return self

    def encoder(self, modality):
        inner, order = self.models.encoder(modality), self.order

        class Encoder:
            token_width, pooled_width = inner.token_width, inner.pooled_width

            def encode(self, items):
                order.extend([modality] * len(items))
                return inner.encode(items)

        return Encoder()


@pytest.fixture
def parts(samples):
    half = len(samples) // 2
    return samples[:half], samples[half:]


@pytest.fixture(scope="module")
def models(tiny_config):
    return frozen_models(tiny_config)


@pytest.mark.parametrize("completion", ["foundation", "retrieval", "none"])
def test_the_same_bits_as_one_after_the_other(parts, samples, completion, tiny_config, tmp_path):
    config = tiny_config.changed(completion=completion)
    models = frozen_models(config)
    pool = [sample for sample in samples if sample.complete]
    completer = completer_class(config.completion)(models, config.completion, 0, pool)
    requests = [Request(part, flags(part), completer) for part in parts]
    with FeatureStore(tmp_path / "together") as store:
        together = prepare(requests, store)
    with FeatureStore(tmp_path / "apart") as store:
        apart = [prepare([request], store)[0] for request in requests]
    for left, right in zip(together, apart, strict=True):
        for field in fields(left):
            if field.name != "seconds":
                assert same(getattr(left, field.name), getattr(right, field.name)), field.name


def test_all_images_come_before_any_text(parts, models, tiny_config, tmp_path):
    recorder = Recorder(models)
    completer = completer_class(tiny_config.completion)(recorder, tiny_config.completion)
    with FeatureStore(tmp_path) as store:
        prepare([Request(part, flags(part), completer) for part in parts], store)
    first_text = recorder.order.index("text")
    assert set(recorder.order[:first_text]) == {"image"}
    assert set(recorder.order[first_text:]) == {"text"}


def test_what_a_request_makes_the_next_one_finds(samples, models, tiny_config, tmp_path):
    recorder, alone = Recorder(models), Recorder(models)
    with FeatureStore(tmp_path / "alone") as store:
        completer = completer_class(tiny_config.completion)(alone, tiny_config.completion)
        prepare([Request(samples, flags(samples), completer)], store)
    twin = [replace(sample, label=sample.label) for sample in samples]
    with FeatureStore(tmp_path) as store:
        completer = completer_class(tiny_config.completion)(recorder, tiny_config.completion)
        first, second = prepare(
            [Request(part, flags(part), completer) for part in (samples, twin)], store
        )
    assert sum(first.made.values()) > 0
    assert sum(first.reused.values()) == 0
    assert sum(second.made.values()) == 0
    assert second.reused == first.made
    assert recorder.order == alone.order
    assert same(first.real, second.real)
    assert same(first.completed, second.completed)

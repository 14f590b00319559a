"""Frozen models are timed on a few samples, and what is wrong with them shows."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.preflight import timing
from fedmvp_flwr.preflight.checks import preflight
from fedmvp_flwr.preflight.timing import Timing, stand_in_notes, time_models, timed_sources


def test_estimates_are_sums_over_the_kinds_of_work():
    timing = Timing({"a": 0.5, "b": 2.0}, 10.0, {"a": 100.0, "b": 1000.0}, {})
    left = {"a": 4, "b": 1}
    assert timing.seconds_for(left) == 10 + 2 + 2
    assert timing.bytes_for(left) == 1400


def test_what_a_library_raises_while_it_is_timed_names_the_model(monkeypatch, small_config):
    def broken(*_):
        raise RuntimeError("no such kernel")

    settings = small_config()
    models = FoundationModels(settings.models)
    monkeypatch.setattr(models.text_encoder, "encode", broken)
    samples = load_dataset(settings.data, cache_folder(settings.run)).splits["train"]
    with pytest.raises(
        ModelError, match=r"text-encoder='open_clip:embedded'.*RuntimeError: no such kernel"
    ):
        time_models(samples, models, settings.completion, True)


def test_a_size_that_only_the_pipeline_knows_to_be_wrong(small_config):
    spec = "diffusers:embedded?size=20"
    (problem,) = preflight(small_config(image_generator=spec), 2, timed=True).problems
    assert "PixArtAlphaPipeline does not draw" in problem
    assert "divisible by 8" in problem
    assert "options size" in problem


def test_what_a_library_refuses_is_a_problem(small_config):
    (problem,) = preflight(small_config(image_grid=50), 2, timed=True).problems
    assert problem.startswith("image-encoder='open_clip:embedded': image-grid=50: ")


@pytest.mark.parametrize(("patience", "calls"), [(200.0, [1, 8]), (25.0, [1, 2]), (5.0, [1])])
def test_what_is_slow_is_timed_on_fewer_samples(monkeypatch, patience, calls):
    clock = iter(range(0, 100, 10))
    seen = []

    class Slow:
        def complete(self, modality, sources):
            seen.append(len(sources))
            return list(sources)

    monkeypatch.setattr(timing, "_PATIENCE", patience)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)))
    sources = [Source(f"text {i}", str(i)) for i in range(8)]
    each, made = timing._time_completions(Slow(), "image", sources)
    assert seen == calls
    assert each == 10.0 / calls[-1]
    assert len(made) == calls[-1]


def test_a_generator_for_the_probe_alone_is_tried_too(monkeypatch, small_config):
    def broken(*_, **__):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr("fedmvp_flwr.completion.foundation.FoundationCompleter.complete", broken)
    (problem,) = preflight(small_config(completion="none"), 2, timed=True).problems
    assert "image-generator" in problem
    assert "size mismatch" in problem


@pytest.mark.parametrize(
    ("lacking", "note"),
    [
        ("image", "No training sample has an image: the models were timed on a blank image"),
        ("text", "No training sample has a text: the models were timed on descriptions of the"),
    ],
)
def test_data_without_one_modality_is_timed_on_a_stand_in(lacking, note, small_config):
    settings = small_config()
    whole = load_dataset(settings.data, cache_folder(settings.run))
    train = [replace(sample, **{lacking: None}) for sample in whole.splits["train"]]
    data = SimpleNamespace(
        class_names=whole.class_names,
        class_descriptions=whole.class_descriptions,
        splits={**whole.splits, "train": train},
    )
    models = FoundationModels(settings.models)
    timing = time_models(train, models, settings.completion, True, data.class_descriptions)
    assert set(timing.seconds) == set(timing.bytes_each)
    assert len(timing.seconds) == 5
    assert all(seconds > 0 for seconds in timing.seconds.values())
    found = timed_sources(train, lacking, data.class_descriptions)
    if lacking == "text":
        assert [source.content for source in found] == list(whole.class_descriptions[:8])
    (said,) = stand_in_notes(train)
    assert said.startswith(note)

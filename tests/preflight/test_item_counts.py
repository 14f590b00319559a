"""What is left to do for the frozen models, how long it takes, and what the preflight says."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.cli.prepare_clients import prepare_all
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.location import embedded_folder
from fedmvp_flwr.preflight import timing
from fedmvp_flwr.preflight.checks import preflight
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.preflight.item_counts import Workload
from fedmvp_flwr.preflight.models import add_workload
from fedmvp_flwr.preflight.timed_sources import timed_sources
from fedmvp_flwr.preflight.timing import Timing, estimated_bytes, estimated_seconds, time_models

SMALL = {
    "train_samples": 24,
    "test_samples": 6,
    "partition": "iid",
    "missing_ratio": 0.5,
    "image_generator": "diffusers:embedded?steps=2",
    "probe_per_class": 2,
}


def config(tmp_path, **settings):
    return RunConfig.of(**(SMALL | {"cache_dir": str(tmp_path)} | settings))


def test_all_is_left_at_first_and_nothing_after_preparing(tmp_path, tiny_models_module):
    clip = tiny_models_module.build_open_clip(tmp_path / "clip", seed=5)
    settings = config(tmp_path / "cache", gate_encoder=f"open_clip:{clip}")
    first = preflight(settings, 2)
    assert first.problems == []
    assert all(row["left"] == row["all"] > 0 for row in first.work)
    assert [row["work"] for row in first.work] == [
        "image features",
        "image features of the gate",
        "images to generate",
        "text features",
        "text features of the gate",
        "texts to generate",
        "pairs of the probe",
    ]
    assert "completion s" not in first.estimates
    prepare_all(settings, 2)
    second = preflight(settings, 2)
    assert {row["left"] for row in second.work} == {0}
    kinds = {row["work"]: row["all"] for row in second.work}
    before = {row["work"]: row["all"] for row in first.work}
    assert kinds["images to generate"] == before["images to generate"]
    assert kinds["text features"] <= before["text features"]  # equal completions are one content
    assert second.estimates["completion s"] == 0
    assert second.estimates["message MB"] > 0


def test_the_counts_are_those_of_what_is_made(tmp_path):
    settings = config(tmp_path)
    counted = {row["work"]: row["left"] for row in preflight(settings, 2).work}
    done = {}
    from fedmvp_flwr.completion import foundation

    original = foundation.FoundationCompleter.complete

    def count(self, modality, sources):
        done[modality] = done.get(modality, 0) + len(sources)
        return original(self, modality, sources)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(foundation.FoundationCompleter, "complete", count)
        prepare_all(settings, 2)
    assert done == {"image": counted["images to generate"], "text": counted["texts to generate"]}


def test_a_timed_preflight_estimates_time_disk_and_message(tmp_path):
    report = preflight(config(tmp_path), 2, timed=True)
    assert report.problems == []
    for name in ("loading s", "completion s", "further disk MB", "message MB"):
        assert report.estimates[name] > 0
    assert all(row["ms each"] > 0 and row["kB each"] > 0 for row in report.work)
    store = tmp_path / "features-v1.sqlite"
    before = store.stat().st_size
    assert preflight(config(tmp_path), 2).work == [
        {key: row[key] for key in ("work", "all", "left")} for row in report.work
    ]
    assert store.stat().st_size == before  # timing stores nothing


def test_retrieval_encodes_and_generates_nothing(tmp_path):
    settings = config(tmp_path, completion="retrieval", method="fedavg")
    report = preflight(settings, 2)
    dataset = load_dataset(settings.data, cache_folder(settings.run))
    images = {s.image.digest for split in dataset.splits.values() for s in split if s.image}
    counted = {row["work"]: row["left"] for row in report.work}
    assert set(counted) == {"image features", "text features"}
    assert counted["image features"] < len(images)  # those of the holes are not needed
    prepare_all(settings, 2)
    assert {row["left"] for row in preflight(settings, 2).work} == {0}


def test_estimates_are_sums_over_the_kinds_of_work():
    timing = Timing({"a": 0.5, "b": 2.0}, 10.0, {"a": 100.0, "b": 1000.0}, {})
    work = Workload({"a": 9, "b": 9}, {"a": 4, "b": 1})
    assert estimated_seconds(work, timing) == 10 + 2 + 2
    assert estimated_bytes(work, timing) == 1400
    done = Workload({"a": 9}, {"a": 0})
    assert done.done
    assert estimated_seconds(done, timing) == estimated_bytes(done, timing) == 0


def test_every_missing_model_is_named_at_once(tmp_path):
    settings = config(
        tmp_path,
        image_encoder="timm:local:/no/image",
        text_encoder="transformers:/no/text",
        captioner="transformers:/no/captioner",
        image_generator="diffusers:/no/generator",
        gate_encoder="open_clip:/no/gate",
        prompt_template="no-such",
    )
    text = "\n".join(preflight(settings, 2).problems)
    for part in ("/no/image", "/no/text", "/no/captioner", "/no/generator", "/no/gate", "no-such"):
        assert part in text


def test_the_probe_s_generator_is_checked_also_without_generative_completion(tmp_path):
    settings = {"completion": "retrieval", "image_generator": "diffusers:/no/generator"}
    assert any("/no/generator" in p for p in preflight(config(tmp_path, **settings), 2).problems)
    fedavg = config(tmp_path, **settings, method="fedavg")
    assert preflight(fedavg, 2).problems == []


def test_models_are_listed_with_size_and_name(tmp_path):
    rows = preflight(config(tmp_path), 2).models
    assert [row["setting"] for row in rows] == [
        "image-encoder",
        "text-encoder",
        "image-generator",
        "captioner",
    ]
    assert all(row["MB"] > 0.1 and len(row["fingerprint"]) == 12 for row in rows)


def test_a_message_that_is_too_large_is_found_before_the_run(tmp_path):
    settings = config(tmp_path, max_message_mb=0.01, model_width=64)
    problems = preflight(settings, 2, timed=True).problems
    assert any("max-message-mb" in problem for problem in problems)


@pytest.mark.parametrize(
    ("lacking", "note"),
    [
        ("image", "No training sample has an image: the models were timed on a blank image"),
        ("text", "No training sample has a text: the models were timed on descriptions of the"),
    ],
)
def test_data_without_one_modality_is_timed_on_a_stand_in(lacking, note, tmp_path, monkeypatch):
    settings = config(tmp_path)
    whole = load_dataset(settings.data, cache_folder(settings.run))
    train = [replace(sample, **{lacking: None}) for sample in whole.splits["train"]]
    data = SimpleNamespace(
        class_names=whole.class_names,
        class_descriptions=whole.class_descriptions,
        splits={**whole.splits, "train": train},
    )
    models = FoundationModels(settings.models)
    timing = time_models(data.splits["train"], models, settings, data.class_descriptions)
    assert set(timing.seconds) == set(timing.bytes_each)
    assert len(timing.seconds) == 5
    assert all(seconds > 0 for seconds in timing.seconds.values())
    found = timed_sources(train, lacking, data.class_descriptions)
    if lacking == "text":
        assert [source.content for source in found] == list(whole.class_descriptions[:8])
    monkeypatch.setattr(
        "fedmvp_flwr.preflight.models.count_work", lambda *_: Workload({}, {"a": 1})
    )
    report = PreflightReport()
    add_workload(report, data, settings, models, (), timed=True)
    (said,) = report.notes
    assert said.startswith(note)
    assert report.problems == []


def test_what_a_library_raises_while_it_is_timed_names_the_model(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such kernel")

    settings = config(tmp_path)
    models = FoundationModels(settings.models)
    monkeypatch.setattr(models.text_encoder, "encode", broken)
    samples = load_dataset(settings.data, cache_folder(settings.run)).splits["train"]
    with pytest.raises(
        ModelError, match=r"text-encoder='open_clip:embedded'.*RuntimeError: no such kernel"
    ):
        time_models(samples, models, settings)


def test_a_size_that_only_the_pipeline_knows_to_be_wrong(tmp_path):
    spec = "diffusers:embedded?size=20"
    (problem,) = preflight(config(tmp_path, image_generator=spec), 2, timed=True).problems
    assert "PixArtAlphaPipeline does not draw" in problem
    assert "divisible by 8" in problem
    assert "options size" in problem


def test_a_timed_preflight_refuses_what_cannot_be_loaded(tmp_path):
    folder = shutil.copytree(embedded_folder("image-encoder", "encoder"), tmp_path / "encoder")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    spec = f"open_clip:{folder}"
    (problem,) = preflight(config(tmp_path, gate_encoder=spec), 2, timed=True).problems
    assert problem.startswith(f"gate-encoder: open_clip cannot load {folder}: ")
    (problem,) = preflight(config(tmp_path, image_grid=50), 2, timed=True).problems
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


def test_the_probe_is_work_of_its_own(tmp_path):
    settings = config(tmp_path, completion="none")
    first = preflight(settings, 2, timed=True)
    rows = {row["work"]: row for row in first.work}
    pairs = rows["pairs of the probe"]
    classes = load_dataset(settings.data, cache_folder(settings.run)).class_names
    assert pairs["left"] == pairs["all"] == 2 * len(classes)
    assert pairs["ms each"] > rows["image features"]["ms each"]
    assert "images to generate" not in rows
    prepare_all(settings, 2)
    again = {row["work"]: row["left"] for row in preflight(settings, 2).work}
    assert again["pairs of the probe"] == 0
    plain = preflight(config(tmp_path, completion="none", method="fedavg"), 2)
    assert "pairs of the probe" not in {row["work"] for row in plain.work}


def test_a_generator_for_the_probe_alone_is_tried_too(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("size mismatch")

    monkeypatch.setattr("fedmvp_flwr.completion.foundation.FoundationCompleter.complete", broken)
    (problem,) = preflight(config(tmp_path, completion="none"), 2, timed=True).problems
    assert "image-generator" in problem
    assert "size mismatch" in problem

"""What is left to do for the frozen models."""

import pytest

from fedmvp_flwr.cli.prepare_clients import prepare_all
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.preflight.checks import preflight

pytestmark = pytest.mark.slow


def test_all_is_left_at_first_and_nothing_after_preparing(
    tmp_path, tiny_models_module, small_config
):
    clip = tiny_models_module.build_open_clip(tmp_path / "clip", seed=5)
    settings = small_config(gate_encoder=f"open_clip:{clip}")
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


def test_the_counts_are_those_of_what_is_made(small_config):
    settings = small_config()
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


def test_retrieval_encodes_and_generates_nothing(small_config):
    settings = small_config(completion="retrieval", method="fedavg", missing_pattern="random")
    report = preflight(settings, 2)
    dataset = load_dataset(settings.data, cache_folder(settings.run))
    images = {s.image.digest for split in dataset.splits.values() for s in split if s.image}
    counted = {row["work"]: row["left"] for row in report.work}
    assert set(counted) == {"image features", "text features"}
    assert counted["image features"] < len(images)  # those of the holes are not needed
    prepare_all(settings, 2)
    assert {row["left"] for row in preflight(settings, 2).work} == {0}


def test_the_probe_is_work_of_its_own(small_config):
    settings = small_config(completion="none")
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
    plain = preflight(small_config(completion="none", method="fedavg"), 2)
    assert "pairs of the probe" not in {row["work"] for row in plain.work}

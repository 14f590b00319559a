"""What models are timed on where the data lack it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.preflight.timed_sources import stand_in_notes, timed_sources
from fedmvp_flwr.preflight.timing import time_models


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
    timing = time_models(data.splits["train"], models, settings, data.class_descriptions)
    assert set(timing.seconds) == set(timing.bytes_each)
    assert len(timing.seconds) == 5
    assert all(seconds > 0 for seconds in timing.seconds.values())
    found = timed_sources(train, lacking, data.class_descriptions)
    if lacking == "text":
        assert [source.content for source in found] == list(whole.class_descriptions[:8])
    (said,) = stand_in_notes(train)
    assert said.startswith(note)

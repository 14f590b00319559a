"""The miniature data sets are read by the sources whose layout they have."""

import pytest

from examples.miniature import LAYOUTS, PER_SPECIES, SPECIES, make
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.sources.registry import load_dataset

SETTINGS = {"coco": {"test_split": "val"}, "folder": {"id_column": "id"}}
OTHERS = {"folder": "public", "hf": "public", "flowers": "val", "flickr30k": "public"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout(layout, tmp_path):
    root = tmp_path / "data" / layout
    make(layout, root)
    data = RunConfig.of(dataset=f"{layout}:{root}", **SETTINGS.get(layout, {})).data
    dataset = load_dataset(data, tmp_path / "cache")
    sizes = {name: len(samples) // SPECIES for name, samples in dataset.splits.items()}
    joined = {"train": PER_SPECIES["train"] + PER_SPECIES["public"]} if layout == "cub" else {}
    assert {name: sizes[name] for name in ("train", "test")} == {
        "train": PER_SPECIES["train"],
        "test": PER_SPECIES["test"],
        **joined,
    }
    if layout in OTHERS:
        assert sizes[OTHERS[layout]] == PER_SPECIES["public"]
    assert dataset.findings.bad == {}
    assert len({sample.label for sample in dataset.splits["train"]}) == SPECIES
    holes = sum(not sample.complete for sample in dataset.splits["train"])
    assert (holes > 0) is (layout in ("folder", "hf"))
    with pytest.raises(DataError, match="not empty"):
        make(layout, root)

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources import registry
from fedmvp_flwr.data.sources.registry import load_dataset


def test_flora_of_the_size_that_is_asked_for():
    dataset = load_dataset(RunConfig.of(train_samples=60, test_samples=30))
    assert len(dataset.splits["train"]) == 60
    assert len(dataset.splits["test"]) == 30
    assert len(dataset.class_names) == len(dataset.class_descriptions)
    keys = [sample.key for split in ("train", "test") for sample in dataset.splits[split]]
    assert len(set(keys)) == 90
    labels = {sample.label for sample in dataset.splits["train"]}
    assert labels <= set(range(len(dataset.class_names)))


def test_the_seed_of_a_run_does_not_change_the_data():
    keys = [
        [s.key for s in load_dataset(RunConfig.of(seed=seed, train_samples=50)).splits["train"]]
        for seed in (0, 1)
    ]
    assert keys[0] == keys[1]


def test_an_unknown_source_is_refused_with_the_nearest():
    with pytest.raises(DataError, match="did you mean 'flora'"):
        load_dataset(RunConfig.of(dataset="flor"))
    with pytest.raises(DataError, match=r"is none of \['coco'.*'flora'.*\]\.$"):
        load_dataset(RunConfig.of(dataset="qqq:/somewhere"))


def test_a_new_source_is_one_entry(monkeypatch):
    monkeypatch.setitem(registry._SOURCES, "mine", lambda config: config.data.dataset)
    assert load_dataset(RunConfig.of(dataset="mine:/folder")) == "mine:/folder"


def test_flora_takes_a_number_and_nothing_else():
    sets = [
        load_dataset(RunConfig.of(dataset=name, train_samples=40, test_samples=5)).splits["train"]
        for name in ("flora", "flora:0", "flora:1")
    ]
    keys = [[(s.key, s.label, s.text, s.image.digest) for s in samples] for samples in sets]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(DataError, match="flora:NUMBER"):
        load_dataset(RunConfig.of(dataset="flora:many"))


@pytest.mark.parametrize("key", ["image_column", "text_column"])
@pytest.mark.parametrize("source", ["flora", "flora:1", "coco:/no", "cub:/no", "flowers:/no"])
def test_data_with_images_and_texts_is_not_taken_for_less(source, key):
    name = key.replace("_", "-")
    with pytest.raises(DataError, match=f"dataset='{source}' does not .* {name}='none'") as error:
        load_dataset(RunConfig.of(dataset=source, **{key: "none"}))
    for part in ("Leave it out.", "missing-image-share", "dataset='folder:PATH'"):
        assert part in str(error.value)

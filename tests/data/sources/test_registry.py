import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.data.sources.registry import load_dataset


def test_flora_of_the_size_that_is_asked_for(settings):
    dataset = load_dataset(*settings(train_samples=60, test_samples=30))
    assert len(dataset.splits["train"]) == 60
    assert len(dataset.splits["test"]) == 30
    assert len(dataset.class_names) == len(dataset.class_descriptions)
    keys = [sample.key for split in ("train", "test") for sample in dataset.splits[split]]
    assert len(set(keys)) == 90
    labels = {sample.label for sample in dataset.splits["train"]}
    assert labels <= set(range(len(dataset.class_names)))


def test_an_unknown_source_is_refused_with_the_nearest(settings):
    with pytest.raises(ConfigError, match="did you mean 'flora'"):
        load_dataset(*settings("flor"))
    with pytest.raises(ConfigError, match=r"expected coco:\.\.\., .* flora:\.\.\., .* nodes\.$"):
        load_dataset(*settings("qqq:/somewhere"))


def test_flora_takes_a_number_and_nothing_else(settings):
    sets = [
        load_dataset(*settings(name, train_samples=40, test_samples=5)).splits["train"]
        for name in ("flora", "flora:0", "flora:1")
    ]
    keys = [[(s.key, s.label, s.text, s.image.digest) for s in samples] for samples in sets]
    assert keys[0] == keys[1] != keys[2]
    with pytest.raises(ConfigError, match="expected 'flora:' and a whole number"):
        load_dataset(*settings("flora:many"))


@pytest.mark.parametrize("key", ["image_column", "text_column"])
@pytest.mark.parametrize("source", ["flora", "flora:1", "coco:/no", "cub:/no", "flowers:/no"])
def test_data_with_images_and_texts_is_not_taken_for_less(settings, source, key):
    name = key.replace("_", "-")
    with pytest.raises(DataError, match=f"dataset='{source}' does not .* {name}='none'") as error:
        load_dataset(*settings(source, **{key: "none"}))
    for part in ("Leave it out.", "missing-image-share", "dataset='folder:PATH'"):
        assert part in str(error.value)


def test_labels_that_tell_nothing_apart_are_refused(folder, settings):
    def one_class(rows):
        for row in rows:
            row["label"] = "none"

    with pytest.raises(DataError, match="every training sample is of the class 'none'"):
        load_dataset(*settings(f"folder:{folder(one_class)}"))

"""Oxford Flowers 102, as a miniature copy of its archives."""

import numpy as np
import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


def test_captions_of_a_flower_in_two_folders(blossoms, settings, write_captions):
    write_captions(blossoms / "text_c10" / "class_00009" / "image_00002.txt")
    with pytest.raises(DataError, match=r"class_00002/image_00002.* and .*class_00009/image_00002"):
        load_dataset(*settings(f"flowers:{blossoms}"))


def test_flowers(blossoms, settings):
    pytest.importorskip("torchvision", reason="the names of the flowers come with it")
    dataset = load_dataset(*settings(f"flowers:{blossoms}"))
    assert dataset.class_names == ("pink primrose", "hard-leaved pocket orchid", "canterbury bells")
    sizes = {name: len(samples) for name, samples in dataset.splits.items()}
    assert sizes == {"train": 3, "test": 6, "val": 3}
    first = dataset.splits["train"][0]
    assert (first.key, first.label) == ("jpg/image_00001.jpg", 0)
    assert first.text.endswith(" of image_00001")


def test_flowers_of_the_papers_sizes_and_other_splits(blossoms, settings):
    dataset = load_dataset(*settings(f"flowers:{blossoms}", benchmark_split="paper"))
    assert [len(dataset.splits[name]) for name in ("train", "test")] == [11, 1]
    joined = load_dataset(*settings(f"flowers:{blossoms}", train_split="train+val"))
    assert [len(joined.splits[name]) for name in ("train", "test")] == [6, 6]


def test_own_names_of_the_flowers(blossoms, settings, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("one\ntwo\nthree\n")
    dataset = load_dataset(*settings(f"flowers:{blossoms}", class_names_file=str(names)))
    assert dataset.class_names == ("one", "two", "three")
    names.write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"labels 1 to 3, expected 1 to 2"):
        load_dataset(*settings(f"flowers:{blossoms}", class_names_file=str(names)))


def test_broken_flower_files(blossoms, settings):
    from scipy.io import savemat

    (blossoms / "jpg" / "image_00004.jpg").unlink()
    with pytest.raises(DataError, match=r"missing file: setid\.mat:image 4: 'jpg/image_00004"):
        load_dataset(*settings(f"flowers:{blossoms}"))
    savemat(blossoms / "setid.mat", {"trnid": np.array([[99]])})
    with pytest.raises(DataError, match=r"has no \['valid', 'tstid'\]"):
        load_dataset(*settings(f"flowers:{blossoms}"))
    parts = {"trnid": np.array([[99]]), "valid": np.array([[1]]), "tstid": np.array([[2]])}
    savemat(blossoms / "setid.mat", parts)
    with pytest.raises(DataError, match="names image 99"):
        load_dataset(*settings(f"flowers:{blossoms}"))
    (blossoms / "setid.mat").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="no MATLAB file"):
        load_dataset(*settings(f"flowers:{blossoms}"))
    (blossoms / "setid.mat").unlink()
    with pytest.raises(DataError, match="is missing"):
        load_dataset(*settings(f"flowers:{blossoms}"))


@pytest.mark.parametrize(("key", "number"), [("trnid", 8), ("valid", 12)])
def test_a_flower_in_two_splits(blossoms, settings, key, number):
    from scipy.io import savemat

    parts = {"trnid": [1, 2, 3], "valid": [4, 5, 6], "tstid": list(range(7, 13))}
    parts[key][0] = number
    savemat(blossoms / "setid.mat", {name: np.array([part]) for name, part in parts.items()})
    with pytest.raises(DataError, match=f"names image {number} in {key} and in tstid"):
        load_dataset(*settings(f"flowers:{blossoms}"))


@pytest.mark.parametrize("values", [["x", "y"], [1.5, 2.0], [float("nan")], [float("inf")]])
def test_flower_labels_that_are_no_whole_numbers(blossoms, settings, values):
    from scipy.io import savemat

    savemat(blossoms / "imagelabels.mat", {"labels": np.array(values)})
    with pytest.raises(DataError, match=r"imagelabels\.mat': 'labels' must hold whole numbers"):
        load_dataset(*settings(f"flowers:{blossoms}"))


def test_flower_files_in_links_that_lead_out_are_refused(blossoms, settings, tmp_path):
    (blossoms / "setid.mat").rename(tmp_path / "setid.mat")
    (blossoms / "setid.mat").symlink_to(tmp_path / "setid.mat")
    with pytest.raises(DataError, match=r"setid\.mat' is a symbolic link"):
        load_dataset(*settings(f"flowers:{blossoms}"))

"""One metadata file for images in a folder per split, and names of images that are one."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.sources.folder import load_folder


def keys(dataset, split):
    return [sample.key for sample in dataset.splits[split]]


@pytest.fixture
def parted(folder, picture):
    """Build a folder with images in `train/` and `test/`; `change` may edit the rows first."""

    def build(change=lambda rows: rows, names=("train", "test")):
        def rows_of(rows):
            for i, row in enumerate(rows):
                del row["split"]
                row["file_name"] = f"{names[i // 8]}/{i}.png"
            return change(rows) or rows

        root = folder(rows_of)
        for name in names:
            (root / name).mkdir()
        for i in range(10):
            picture(i).save(root / names[i // 8] / f"{i}.png")
        return root

    return build


def test_folders_named_as_splits_tell_the_split(parted, settings):
    dataset = load_folder(parted(), *settings())
    assert keys(dataset, "test") == ["test/8.png", "test/9.png"]
    assert len(dataset.splits["train"]) == 8
    assert dataset.findings.notes == {found.SPLIT_BY_FOLDER: 10}


def test_settings_name_splits_too(parted, settings):
    root = parted(names=("learn", "exam"))
    dataset = load_folder(root, *settings(train_split="learn", test_split="exam"))
    assert len(dataset.splits["test"]) == 2
    assert len(load_folder(root, *settings()).splits["train"]) == 8, "a fraction is held out"
    assert not load_folder(root, *settings()).findings.notes


def test_a_column_of_splits_counts_more(parted, settings):
    def change(rows):
        for i, row in enumerate(rows):
            row["split"] = "test" if i < 3 else "train"

    assert len(load_folder(parted(change), *settings()).splits["test"]) == 3


def test_rows_beside_the_folders_are_refused(parted, settings):
    def change(rows):
        rows[3]["file_name"] = None

    with pytest.raises(DataError, match=r"1 rows have no image.*metadata\.jsonl:4.*'split'"):
        load_folder(parted(change), *settings())


def test_metadata_that_would_be_ignored_are_refused(folder, settings):
    root = folder()
    (root / "train").mkdir()
    (root / "train" / "metadata.csv").write_text("file_name,label\n")
    with pytest.raises(DataError, match=r"has metadata\.jsonl, and also train/metadata\.csv"):
        load_folder(root, *settings())


@pytest.mark.parametrize("name", ["./images/0.png", "images//0.png", "images/./0.png"])
def test_other_spellings_of_a_file_name_are_the_same_image(folder, settings, name):
    def change(rows):
        rows[1]["file_name"] = name

    with pytest.raises(DataError, match=r"duplicate id: metadata\.jsonl:2: 'images/0\.png'"):
        load_folder(folder(change), *settings())


@pytest.mark.parametrize("name", ["images/../images/0.png", "//images/0.png", "./../x.png"])
def test_no_spelling_leads_out(folder, settings, name):
    def change(rows):
        rows[1]["file_name"] = name

    with pytest.raises(DataError, match="path out of the folder"):
        load_folder(folder(change), *settings())

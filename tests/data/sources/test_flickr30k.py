"""Rows of one image, under any spelling of its name."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return {s.key: s for split in dataset.splits.values() for s in split}


@pytest.fixture
def flickr(tmp_path, picture):
    """Six images with two rows each; `change` may edit the rows (name, text, label, site)."""

    def build(change=lambda rows: None):
        root = tmp_path / "flickr"
        (root / "images").mkdir(parents=True, exist_ok=True)
        rows = []
        for i in range(6):
            picture(i).save(root / "images" / f"{i}.jpg")
            rows += [[f"{i}.jpg", f"{word} {i}", "ab"[i % 2], f"site {i % 3}"] for word in "xy"]
        change(rows)
        lines = ["filename,caption,label,site", *(",".join(row) for row in rows)]
        (root / "captions.csv").write_text("\n".join(lines))
        return root

    return build


@pytest.mark.parametrize("name", ["./1.jpg", ".//1.jpg", " ./1.jpg "])
def test_spellings_of_one_name_are_one_image(flickr, settings, name):
    def change(rows):
        rows[3][0] = name

    dataset = load_dataset(*settings(f"flickr30k:{flickr(change)}", captions="joined"))
    assert sorted(everything(dataset)) == [f"{i}.jpg" for i in range(6)]
    assert everything(dataset)["1.jpg"].text == "x 1 y 1"


def test_rows_of_an_image_with_several_owners(flickr, settings):
    def change(rows):
        rows[3][3] = "elsewhere"

    root = flickr(change)
    expected = r"captions\.csv:4: '1\.jpg' has site elsewhere, site 1"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"flickr30k:{root}", partition="column:site"))
    kept = settings(f"flickr30k:{root}", partition="column:site", bad_samples="skip")
    assert "1.jpg" not in everything(load_dataset(*kept))
    assert len(everything(load_dataset(*settings(f"flickr30k:{root}")))) == 6  # nobody asks


def test_an_id_column_is_refused(flickr, settings):
    root = flickr()
    with pytest.raises(DataError, match=r"does not take id-column='label': of the columns only im"):
        load_dataset(*settings(f"flickr30k:{root}", id_column="label"))


def test_captions_may_be_left_out_on_purpose(flickr, settings):
    def change(rows):
        for row in rows:
            row[1] = ""

    dataset = load_dataset(*settings(f"flickr30k:{flickr()}", text_column="none"))
    assert len(everything(dataset)) == 6
    assert all(s.image and s.text is None for s in everything(dataset).values())
    empty = load_dataset(*settings(f"flickr30k:{flickr(change)}"))
    assert everything(empty).keys() == everything(dataset).keys()
    assert empty.findings.notes == dataset.findings.notes


def test_images_may_not(settings):
    for keys in ({}, {"text_column": "none"}):
        config = settings("flickr30k:/no/such/folder", image_column="none", **keys)
        with pytest.raises(DataError, match=r"take image-column='none': .*\. To train with fewer"):
            load_dataset(*config)

"""Rows of one image, under any spelling of its name."""

import json

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


@pytest.fixture
def results(tmp_path, picture):
    root = tmp_path / "flickr"
    (root / "flickr30k_images").mkdir(parents=True)
    lines = ["image_name| comment_number| comment| label"]
    for i in range(10):
        picture(i).save(root / "flickr30k_images" / f"{i}.jpg")
        for number in range(3):
            lines.append(f"{i}.jpg| {number}| Caption {number}, of {i} .| scene {i % 2}")
    (root / "results.csv").write_text("\n".join(lines))
    return root


def test_flickr30k(results, settings):
    dataset = load_dataset(*settings(f"flickr30k:{results}"))
    assert dataset.class_names == ("scene 0", "scene 1")
    assert len(everything(dataset)) == 10
    first = everything(dataset)["0.jpg"]
    assert first.text in {f"Caption {number}, of 0 ." for number in range(3)}
    by_file = load_dataset(*settings(f"flickr30k:{results}/results.csv"))
    assert everything(by_file) == everything(dataset)


def test_flickr30k_with_lists_of_captions(results, settings):
    lines = ["raw,filename,split,label"]
    for i in range(6):
        captions = json.dumps([f"one of {i}", f'"two", of {i}']).replace('"', '""')
        lines.append(f'"{captions}",{i}.jpg,{"test" if i > 3 else "train"},c{i % 2}')
    (results / "results.csv").write_text("\n".join(lines))
    dataset = load_dataset(*settings(f"flickr30k:{results}", captions="joined"))
    assert [s.text for s in dataset.splits["test"]] == [
        'one of 4 "two", of 4',
        'one of 5 "two", of 5',
    ]


def test_flickr30k_with_broken_rows(results, settings):
    with (results / "results.csv").open("a") as file:
        file.write("\n1.jpg| 3| another label| scene 0\n| 1| no name| scene 0\n2.jpg| 4   no bar\n")
        file.write("gone.jpg| 1| not there| scene 0\n")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"flickr30k:{results}"))
    for part in (
        "several labels, splits or owners: results.csv:5: '1.jpg' has label scene 0, scene 1",
        "row without the name of its image: results.csv:33",
        "broken line: results.csv:34: 2 cells, expected 4",
        "missing file: results.csv:35: 'flickr30k_images/gone.jpg'",
    ):
        assert part in str(error.value)
    assert len(everything(load_dataset(*settings(f"flickr30k:{results}", bad_samples="skip")))) == 9


def test_flickr30k_reads_no_link_that_leads_out(results, settings, tmp_path):
    (results / "results.csv").rename(tmp_path / "elsewhere")
    (results / "results.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"results\.csv' is a symbolic link"):
        load_dataset(*settings(f"flickr30k:{results}"))


def test_flickr30k_has_no_label_of_its_own(results, settings):
    path = results / "results.csv"
    path.write_text("\n".join(line.rpartition("|")[0] for line in path.read_text().splitlines()))
    with pytest.raises(DataError, match=r"no column 'label' \(label-column\)"):
        load_dataset(*settings(f"flickr30k:{results}"))
    (results / "other.csv").write_text("a\n")
    with pytest.raises(DataError, match="Give the file itself"):
        load_dataset(*settings(f"flickr30k:{results}"))

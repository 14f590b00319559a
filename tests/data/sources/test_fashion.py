"""Products with ids of any kind, and columns that are named and cannot be chosen."""

import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.registry import load_dataset

IDS = [f"SKU-{i}" for i in range(5)] + [f"{i}" for i in range(5)]


def everything(dataset):
    return {s.key: s for split in dataset.splits.values() for s in split}


@pytest.fixture
def fashion(tmp_path, picture):
    """Ten products; `header` orders the columns of the table."""

    def build(header="id,articleType,productDisplayName", **cells):
        root = tmp_path / "fashion"
        lines = [header]
        for i, name in enumerate(IDS):
            (root / "images" / f"{name}.jpg").parent.mkdir(parents=True, exist_ok=True)
            picture(i).save(root / "images" / f"{name}.jpg")
            own = {"id": name, "articleType": ("Ties", "Scarves")[i % 2], "split": "train"}
            own |= {"productDisplayName": "Tie, red, silk"} | cells
            lines.append(",".join(own[column] for column in header.split(",")))
        (root / "styles.csv").write_text("\n".join(lines))
        return root

    return build


def describe(root, name, text):
    (root / "styles").mkdir(exist_ok=True)
    product = {"productDescriptors": {"description": {"value": text}}, "articleType": "Ties"}
    (root / "styles" / f"{name}.json").write_text(json.dumps({"data": product}))


def test_commas_of_a_name_belong_to_it_in_the_last_column(fashion, settings):
    samples = everything(load_dataset(*settings(f"fashion:{fashion()}")))
    assert {s.text for s in samples.values()} == {"Tie, red, silk"}


def test_commas_of_a_name_before_other_columns_are_broken_lines(fashion, settings):
    root = fashion("id,articleType,productDisplayName,split")
    with pytest.raises(DataError, match=r"10 x broken line: styles\.csv:2: 6 cells, expected 4"):
        load_dataset(*settings(f"fashion:{root}"))


def test_ids_that_are_no_numbers_have_their_description(fashion, settings):
    root = fashion()
    for name in IDS:
        describe(root, name, f"<p>About {name}</p>")
    samples = everything(load_dataset(*settings(f"fashion:{root}")))
    assert {name: s.text for name, s in samples.items()} == {n: f"About {n}" for n in IDS}


def test_an_id_with_a_folder_in_it_reads_no_file(fashion, settings, picture):
    root = fashion()
    (root / "images" / "a").mkdir()
    picture(99).save(root / "images" / "a" / "b.jpg")
    (root / "styles" / "a").mkdir(parents=True)
    describe(root, "a/b", "<p>About a/b</p>")
    with (root / "styles.csv").open("a") as file:
        file.write("\na/b,Ties,the name\n")
    assert everything(load_dataset(*settings(f"fashion:{root}")))["a/b"].text == "the name"


def test_columns_that_cannot_be_chosen_are_refused(fashion, settings):
    root = fashion()
    config = settings(f"fashion:{root}", id_column="nope", image_column="nope2")
    with pytest.raises(DataError) as error:
        load_dataset(*config)
    assert f"dataset='fashion:{root}' does not take image-column='nope2', id-column='nope': " in (
        str(error.value)
    )
    assert "only text-column, label-column, split-column can be chosen" in str(error.value)
    chosen = settings(f"fashion:{root}", label_column="nope")
    with pytest.raises(DataError, match=r"no column 'nope' \(label-column\)"):
        load_dataset(*chosen)


def test_texts_may_be_left_out_on_purpose(fashion, settings):
    root = fashion()
    (root / "styles").mkdir()
    (root / "styles" / f"{IDS[0]}.json").write_text("{")  # not read, as it is not needed
    dataset = load_dataset(*settings(f"fashion:{root}", text_column="none"))
    assert sorted(everything(dataset)) == sorted(IDS)
    assert all(s.image and s.text is None for s in everything(dataset).values())


def test_images_may_not(settings):
    with pytest.raises(DataError, match=r"take image-column='none': .*dataset='folder:PATH'\.$"):
        load_dataset(*settings("fashion:/no/such/folder", image_column="none"))

"""Products with ids of any kind, and columns that are named and cannot be chosen."""

import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.fashion import plain_text
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


def leave_a_link(path, elsewhere):
    """Move a file or folder away and leave a symbolic link to it."""
    elsewhere.parent.mkdir(exist_ok=True)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.fixture
def products(tmp_path, picture):
    root = tmp_path / "fashion"
    for name in ("images", "styles"):
        (root / name).mkdir(parents=True)
    lines = ["id,gender,articleType,brandName,productDisplayName"]
    for i in range(1000, 1010):
        picture(i).save(root / "images" / f"{i}.jpg")
        kind = ("Tshirts", "Casual Shoes")[i % 2]
        lines.append(f"{i},Men,{kind},brand {i % 3},Brand Men, White {kind}")
        value = f"<p>A <b>fine</b> {kind[:-1].lower()} &amp; more.</p>" if i != 1004 else ""
        product = {"productDescriptors": {"description": {"value": value}}}
        product |= {"articleType": {"id": 1, "typeName": kind}, "productDisplayName": "Name"}
        (root / "styles" / f"{i}.json").write_text(json.dumps({"data": product}))
    (root / "styles.csv").write_text("\n".join(lines))
    return root


def test_fashion(products, settings):
    dataset = load_dataset(*settings(f"fashion:{products}", partition="column:brandName"))
    assert dataset.class_names == ("Casual Shoes", "Tshirts")
    samples = everything(dataset)
    assert samples["1000"].text == "A fine tshirt & more."
    assert samples["1004"].text == "Brand Men, White Tshirts"
    assert {s.owner for s in samples.values()} == {"brand 0", "brand 1", "brand 2"}
    titles = load_dataset(*settings(f"fashion:{products}", text_column="productDisplayName"))
    assert {s.text.split()[0] for s in everything(titles).values()} == {"Brand"}


def test_fashion_without_the_table(products, settings):
    (products / "styles.csv").unlink()
    dataset = load_dataset(*settings(f"fashion:{products}"))
    assert dataset.class_names == ("Casual Shoes", "Tshirts")
    assert everything(dataset)["1004"].text == "Name"


def test_fashion_with_class_words_masked(products, settings):
    dataset = load_dataset(*settings(f"fashion:{products}", mask_class_words=True))
    texts = {key: s.text for key, s in everything(dataset).items()}
    assert texts["1000"] == "A fine item & more."
    assert texts["1001"] == "A fine item item & more."


def test_broken_fashion(products, settings):
    (products / "images" / "1001.jpg").unlink()
    (products / "styles" / "1002.json").write_text("{")
    with (products / "styles.csv").open("a") as file:
        file.write("\n1003,Men,Tshirts,b,the second\n../../x,Men,Tshirts,b,c\n1,Men\n")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"fashion:{products}"))
    for part in (
        "missing file: styles.csv:3: 'images/1001.jpg'",
        "broken line: styles.csv:14: 2 cells, expected 5; styles/1002.json: no JSON",
        "duplicate id: styles.csv:12: '1003' is also in styles.csv:5",
        "path out of the folder: styles.csv:13",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("content", ["{", '{"data": [1]}', '{"other": 1}', "[]"])
def test_a_product_with_a_broken_file_is_left_out(products, settings, content):
    (products / "styles" / "1002.json").write_text(content)
    kept = load_dataset(*settings(f"fashion:{products}", bad_samples="skip"))
    assert sorted(everything(kept)) == [str(i) for i in range(1000, 1010) if i != 1002]
    assert kept.findings.num_bad == 1
    titles = load_dataset(*settings(f"fashion:{products}", text_column="productDisplayName"))
    assert len(everything(titles)) == 10  # no file is read then
    (products / "styles.csv").unlink()
    kept = load_dataset(*settings(f"fashion:{products}", bad_samples="skip"))
    assert (len(everything(kept)), kept.findings.num_bad) == (9, 1)


def test_fashion_reads_no_link_that_leads_out(products, settings, tmp_path):
    leave_a_link(products / "styles" / "1003.json", tmp_path / "out" / "1003.json")
    leave_a_link(products / "styles" / "1004.json", products / "within.json")
    with pytest.raises(DataError, match=r"1 x path out of the folder: styles/1003\.json: '/"):
        load_dataset(*settings(f"fashion:{products}"))
    kept = load_dataset(*settings(f"fashion:{products}", bad_samples="skip"))
    assert len(everything(kept)) == 9
    leave_a_link(products / "styles.csv", tmp_path / "out" / "styles.csv")
    with pytest.raises(DataError, match=r"styles\.csv' is a symbolic link"):
        load_dataset(*settings(f"fashion:{products}"))


def test_no_fashion(tmp_path, settings):
    with pytest.raises(DataError, match=r"neither styles\.csv nor styles/ID\.json"):
        load_dataset(*settings(f"fashion:{tmp_path}"))


def test_markup_becomes_plain_text():
    assert plain_text("<p>A&nbsp;<br/>b &lt; c</p>\n d") == "A b < c d"

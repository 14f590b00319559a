"""COCO captions, Flickr30k and Fashion Product Images, as miniature copies."""

import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.class_words import class_word_mask
from fedmvp_flwr.data.sources.fashion import plain_text
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


@pytest.fixture
def coco(tmp_path, picture):
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    categories = [
        {"id": 1, "name": "dog", "supercategory": "animal"},
        {"id": 2, "name": "cat", "supercategory": "animal"},
        {"id": 3, "name": "car", "supercategory": "vehicle"},
    ]
    for name, first in (("train2017", 0), ("val2017", 100)):
        (root / name).mkdir()
        images, captions, objects = [], [], []
        for i in range(first, first + 6):
            picture(i).save(root / name / f"{i:06d}.jpg")
            images.append({"id": i, "file_name": f"{i:06d}.jpg"})
            captions += [{"image_id": i, "caption": f"{word} {i}"} for word in ("a", "the")]
            # Two animals together are larger than the one car in even images.
            sizes = (30, 30, 50) if i % 2 == 0 else (30, 10, 50)
            objects += [
                {"image_id": i, "category_id": c, "area": a} for c, a in enumerate(sizes, 1)
            ]
        objects = [o for o in objects if o["image_id"] != first + 5]
        (root / "annotations" / f"captions_{name}.json").write_text(
            json.dumps({"images": images, "annotations": captions})
        )
        (root / "annotations" / f"instances_{name}.json").write_text(
            json.dumps({"annotations": objects, "categories": categories})
        )
    return root


def test_coco(coco, settings):
    dataset = load_dataset(*settings(f"coco:{coco}", test_split="val", captions="first"))
    assert dataset.class_names == ("animal", "vehicle")
    assert [s.label for s in dataset.splits["train"]] == [0, 1, 0, 1, 0]
    assert [s.text for s in dataset.splits["test"]] == [f"a {i}" for i in range(100, 105)]
    assert dataset.splits["train"][0].key == "train2017/000000.jpg"
    assert dataset.findings.notes == {"left out: no object that gives a label": 2}


def test_coco_with_broken_entries(coco, settings):
    path = coco / "annotations" / "captions_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][3] = {"image_id": 77, "caption": "of nothing"}
    content["images"][1]["file_name"] = "../../gone.jpg"
    content["images"][2]["file_name"] = "gone.jpg"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"coco:{coco}", test_split="val"))
    for part in (
        "broken line: captions_train2017.json:annotations[3]",
        "path out of the folder: captions_train2017.json:images[1]",
        "missing file: captions_train2017.json:images[2]: 'train2017/gone.jpg'",
    ):
        assert part in str(error.value)
    (coco / "annotations" / "instances_train2017.json").unlink()
    with pytest.raises(DataError, match=r"instances_train2017\.json' cannot be read"):
        load_dataset(*settings(f"coco:{coco}"))
    path.write_text("{")
    with pytest.raises(DataError, match=r"captions_train2017\.json' is no JSON"):
        load_dataset(*settings(f"coco:{coco}"))
    path.write_text("[]")
    with pytest.raises(DataError, match="lacks the lists"):
        load_dataset(*settings(f"coco:{coco}"))


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_coco_with_annotations_of_images_that_are_not_listed(coco, settings):
    captions, objects = (
        coco / "annotations" / f"{kind}_train2017.json" for kind in ("captions", "instances")
    )

    def stray(content):
        content["images"][0]["id"] = [0]
        content["annotations"].append({"id": 41, "image_id": 77, "caption": "of nothing"})
        content["annotations"].append({"id": "b", "image_id": None, "caption": "of nothing"})

    def stray_objects(content):
        count = len(content["annotations"])
        extra = {"category_id": 3, "area": 1e9}
        content["annotations"] += [{"id": 51, "image_id": "77"} | extra]
        content["annotations"] += [{"image_id": {}, "id": 52} | extra]
        assert count == 15

    change(captions, stray)
    change(objects, stray_objects)
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"coco:{coco}", test_split="val"))
    unlisted = "no entry of 'images' has the id"
    for part in (
        "10 x broken line",  # the image, two captions and three objects of it, and those below
        "captions_train2017.json:images[0]: expected id",
        *(f"captions_train2017.json:annotations[{i}]: {unlisted} 0" for i in range(2)),
        f"captions_train2017.json:annotations[12] (id 41): {unlisted} 77",
        "captions_train2017.json:annotations[13] (id 'b'): expected image_id",
        *(f"instances_train2017.json:annotations[{i}]: {unlisted} 0" for i in range(3)),
        f"instances_train2017.json:annotations[15] (id 51): {unlisted} '77'",
        "instances_train2017.json:annotations[16] (id 52): expected image_id",
    ):
        assert part in str(error.value)
    kept = load_dataset(*settings(f"coco:{coco}", test_split="val", bad_samples="skip"))
    assert kept.findings.num_bad == 10
    assert [s.key[-5:-4] for s in kept.splits["train"]] == ["1", "2", "3", "4"]
    assert [s.label for s in kept.splits["train"]] == [1, 0, 1, 0]


def test_coco_with_captions_of_fewer_images_than_objects(coco, settings):
    """Somebody cut the captions, which makes no object of a listed image a bad one."""
    captions, objects = (
        coco / "annotations" / f"{kind}_train2017.json" for kind in ("captions", "instances")
    )
    listed = json.loads(captions.read_text())["images"]

    def cut(content):
        content["images"] = content["images"][:3]
        content["annotations"] = content["annotations"][:6]

    change(captions, cut)
    with pytest.raises(DataError, match="6 x broken line: instances_train2017"):
        load_dataset(*settings(f"coco:{coco}", test_split="val"))
    change(objects, lambda content: content.update(images=listed))
    dataset = load_dataset(*settings(f"coco:{coco}", test_split="val"))
    assert [s.key[-5:-4] for s in dataset.splits["train"]] == ["0", "1", "2"]
    change(objects, lambda content: content.update(images={"no": "list"}))
    with pytest.raises(DataError, match="6 x broken line: instances_train2017"):
        load_dataset(*settings(f"coco:{coco}", test_split="val"))


def test_coco_with_entries_of_wrong_types(coco, settings):
    captions, objects = (
        coco / "annotations" / f"{kind}_train2017.json" for kind in ("captions", "instances")
    )

    def spoil(content):
        content["images"][0]["id"] = [0]
        content["images"][1]["file_name"] = {"a": 1}
        content["annotations"][4]["image_id"] = [2]
        content["annotations"][5]["caption"] = ["the 2"]
        content["annotations"][6]["caption"] = None

    def spoil_objects(content):
        content["annotations"][0]["image_id"] = {}
        content["annotations"][1]["category_id"] = []
        content["annotations"][2]["area"] = float("nan")

    change(captions, spoil)
    change(objects, spoil_objects)
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"coco:{coco}", test_split="val"))
    for part in (
        "captions_train2017.json:images[0]: expected id (a number or text)",
        "captions_train2017.json:images[1]: expected",
        "captions_train2017.json:annotations[4]",
        "captions_train2017.json:annotations[5]",
        *(f"instances_train2017.json:annotations[{i}]: expected image_id" for i in range(3)),
    ):
        assert part in str(error.value)
    assert "annotations[6]" not in str(error.value)
    assert "annotations[2]" in str(error.value)
    kept = load_dataset(*settings(f"coco:{coco}", test_split="val", bad_samples="skip"))
    assert [(s.key[-5:-4], s.text) for s in kept.splits["train"]] == [
        ("2", None),
        ("3", "the 3"),
        ("4", kept.splits["train"][2].text),
    ]


@pytest.mark.parametrize("value", [None, ["animal"], "", 3])
def test_coco_with_a_category_without_supercategory(coco, settings, value):
    path = coco / "annotations" / "instances_train2017.json"
    change(path, lambda content: content["categories"][1].update(supercategory=value))
    with pytest.raises(DataError, match=r"instances_train2017\.json': categories\[1\] needs an id"):
        load_dataset(*settings(f"coco:{coco}"))


def test_coco_with_a_category_twice(coco, settings):
    path = coco / "annotations" / "instances_train2017.json"
    change(path, lambda content: content["categories"][1].update(id=3))
    with pytest.raises(DataError, match=r"categories\[2\] gives the id 3 another supercategory"):
        load_dataset(*settings(f"coco:{coco}"))


def test_coco_with_ids_twice(coco, settings):
    def spoil(content):
        content["images"].append(dict(content["images"][1]))
        content["images"].append(dict(content["images"][2], file_name="000003.jpg"))

    change(coco / "annotations" / "captions_train2017.json", spoil)
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"coco:{coco}", test_split="val"))
    where = "captions_train2017.json:images"
    for part in (
        f"3 x duplicate id: {where}[6]: id 1 is also in {where}[1]",
        f"{where}[2]: id 2 names 2 files; {where}[7]: id 2 names 2 files",
    ):
        assert part in str(error.value)
    assert "annotations" not in str(error.value)
    kept = load_dataset(*settings(f"coco:{coco}", test_split="val", bad_samples="skip"))
    assert [s.key[-5:-4] for s in kept.splits["train"]] == ["0", "1", "3", "4"]


def leave_a_link(path, elsewhere):
    """Move a file or folder away and leave a symbolic link to it."""
    elsewhere.parent.mkdir(exist_ok=True)
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("name", ["", "/captions_val2017.json", "/instances_train2017.json"])
def test_coco_reads_no_link_that_leads_out(coco, settings, tmp_path, name):
    path = coco / f"annotations{name}"
    leave_a_link(path, coco / "kept" / "within")
    assert load_dataset(*settings(f"coco:{coco}", test_split="val"))
    path.unlink()
    (coco / "kept" / "within").rename(path)
    leave_a_link(path, tmp_path / "out" / "elsewhere")
    with pytest.raises(
        DataError, match=r"coco/annotations/\w+.json' is a symbolic link.*leads out"
    ):
        load_dataset(*settings(f"coco:{coco}", test_split="val"))


def test_a_link_that_leads_in_a_circle(coco, settings):
    path = coco / "annotations" / "instances_val2017.json"
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(DataError, match=r"instances_val2017\.json' cannot be read \(Symlink loop"):
        load_dataset(*settings(f"coco:{coco}", test_split="val"))


def test_no_coco(tmp_path, settings):
    with pytest.raises(DataError, match="has no captions_NAME"):
        load_dataset(*settings(f"coco:{tmp_path}"))


@pytest.fixture
def flickr(tmp_path, picture):
    root = tmp_path / "flickr"
    (root / "flickr30k_images").mkdir(parents=True)
    lines = ["image_name| comment_number| comment| label"]
    for i in range(10):
        picture(i).save(root / "flickr30k_images" / f"{i}.jpg")
        for number in range(3):
            lines.append(f"{i}.jpg| {number}| Caption {number}, of {i} .| scene {i % 2}")
    (root / "results.csv").write_text("\n".join(lines))
    return root


def test_flickr30k(flickr, settings):
    dataset = load_dataset(*settings(f"flickr30k:{flickr}"))
    assert dataset.class_names == ("scene 0", "scene 1")
    assert len(everything(dataset)) == 10
    first = next(s for s in everything(dataset) if s.key == "0.jpg")
    assert first.text in {f"Caption {number}, of 0 ." for number in range(3)}
    by_file = load_dataset(*settings(f"flickr30k:{flickr}/results.csv"))
    assert everything(by_file) == everything(dataset)


def test_flickr30k_with_lists_of_captions(flickr, settings):
    lines = ["raw,filename,split,label"]
    for i in range(6):
        captions = json.dumps([f"one of {i}", f'"two", of {i}']).replace('"', '""')
        lines.append(f'"{captions}",{i}.jpg,{"test" if i > 3 else "train"},c{i % 2}')
    (flickr / "results.csv").write_text("\n".join(lines))
    dataset = load_dataset(*settings(f"flickr30k:{flickr}", captions="joined"))
    assert [s.text for s in dataset.splits["test"]] == [
        'one of 4 "two", of 4',
        'one of 5 "two", of 5',
    ]


def test_flickr30k_with_broken_rows(flickr, settings):
    with (flickr / "results.csv").open("a") as file:
        file.write("\n1.jpg| 3| another label| scene 0\n| 1| no name| scene 0\n2.jpg| 4   no bar\n")
        file.write("gone.jpg| 1| not there| scene 0\n")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"flickr30k:{flickr}"))
    for part in (
        "several labels, splits or owners: results.csv:5: '1.jpg' has label scene 0, scene 1",
        "row without the name of its image: results.csv:33",
        "broken line: results.csv:34: 2 cells, expected 4",
        "missing file: results.csv:35: 'flickr30k_images/gone.jpg'",
    ):
        assert part in str(error.value)
    assert len(everything(load_dataset(*settings(f"flickr30k:{flickr}", bad_samples="skip")))) == 9


def test_flickr30k_reads_no_link_that_leads_out(flickr, settings, tmp_path):
    leave_a_link(flickr / "results.csv", tmp_path / "out" / "results.csv")
    with pytest.raises(DataError, match=r"results\.csv' is a symbolic link"):
        load_dataset(*settings(f"flickr30k:{flickr}"))


def test_flickr30k_has_no_label_of_its_own(flickr, settings):
    path = flickr / "results.csv"
    path.write_text("\n".join(line.rpartition("|")[0] for line in path.read_text().splitlines()))
    with pytest.raises(DataError, match=r"no column 'label' \(label-column\)"):
        load_dataset(*settings(f"flickr30k:{flickr}"))
    (flickr / "other.csv").write_text("a\n")
    with pytest.raises(DataError, match="Give the file itself"):
        load_dataset(*settings(f"flickr30k:{flickr}"))


@pytest.fixture
def fashion(tmp_path, picture):
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


def test_fashion(fashion, settings):
    dataset = load_dataset(*settings(f"fashion:{fashion}", partition="column:brandName"))
    assert dataset.class_names == ("Casual Shoes", "Tshirts")
    samples = {s.key: s for s in everything(dataset)}
    assert samples["1000"].text == "A fine tshirt & more."
    assert samples["1004"].text == "Brand Men, White Tshirts"
    assert {s.owner for s in samples.values()} == {"brand 0", "brand 1", "brand 2"}
    titles = load_dataset(*settings(f"fashion:{fashion}", text_column="productDisplayName"))
    assert {s.text.split()[0] for s in everything(titles)} == {"Brand"}


def test_fashion_without_the_table(fashion, settings):
    (fashion / "styles.csv").unlink()
    dataset = load_dataset(*settings(f"fashion:{fashion}"))
    assert dataset.class_names == ("Casual Shoes", "Tshirts")
    assert {s.key: s.text for s in everything(dataset)}["1004"] == "Name"


def test_fashion_with_class_words_masked(fashion, settings):
    dataset = load_dataset(*settings(f"fashion:{fashion}", mask_class_words=True))
    texts = {s.key: s.text for s in everything(dataset)}
    assert texts["1000"] == "A fine item & more."
    assert texts["1001"] == "A fine item item & more."


def test_broken_fashion(fashion, settings):
    (fashion / "images" / "1001.jpg").unlink()
    (fashion / "styles" / "1002.json").write_text("{")
    with (fashion / "styles.csv").open("a") as file:
        file.write("\n1003,Men,Tshirts,b,the second\n../../x,Men,Tshirts,b,c\n1,Men\n")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"fashion:{fashion}"))
    for part in (
        "missing file: styles.csv:3: 'images/1001.jpg'",
        "broken line: styles.csv:14: 2 cells, expected 5; styles/1002.json: no JSON",
        "duplicate id: styles.csv:12: '1003' is also in styles.csv:5",
        "path out of the folder: styles.csv:13",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("content", ["{", '{"data": [1]}', '{"other": 1}', "[]"])
def test_a_product_with_a_broken_file_is_left_out(fashion, settings, content):
    (fashion / "styles" / "1002.json").write_text(content)
    kept = load_dataset(*settings(f"fashion:{fashion}", bad_samples="skip"))
    assert sorted(s.key for s in everything(kept)) == [
        str(i) for i in range(1000, 1010) if i != 1002
    ]
    assert kept.findings.num_bad == 1
    titles = load_dataset(*settings(f"fashion:{fashion}", text_column="productDisplayName"))
    assert len(everything(titles)) == 10  # no file is read then
    (fashion / "styles.csv").unlink()
    kept = load_dataset(*settings(f"fashion:{fashion}", bad_samples="skip"))
    assert (len(everything(kept)), kept.findings.num_bad) == (9, 1)


def test_fashion_reads_no_link_that_leads_out(fashion, settings, tmp_path):
    leave_a_link(fashion / "styles" / "1003.json", tmp_path / "out" / "1003.json")
    leave_a_link(fashion / "styles" / "1004.json", fashion / "within.json")
    with pytest.raises(DataError, match=r"1 x path out of the folder: styles/1003\.json: '/"):
        load_dataset(*settings(f"fashion:{fashion}"))
    kept = load_dataset(*settings(f"fashion:{fashion}", bad_samples="skip"))
    assert len(everything(kept)) == 9
    leave_a_link(fashion / "styles.csv", tmp_path / "out" / "styles.csv")
    with pytest.raises(DataError, match=r"styles\.csv' is a symbolic link"):
        load_dataset(*settings(f"fashion:{fashion}"))


def test_no_fashion(tmp_path, settings):
    with pytest.raises(DataError, match=r"neither styles\.csv nor styles/ID\.json"):
        load_dataset(*settings(f"fashion:{tmp_path}"))


def test_markup_becomes_plain_text():
    assert plain_text("<p>A&nbsp;<br/>b &lt; c</p>\n d") == "A b < c d"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("A T-shirt, two Tshirts and a t shirt", "A item, two item and a item"),
        ("Watches beside a watch", "item beside a item"),
        ("a pair of flip flops", "a pair of item item"),
        ("Shirtless dresses and a dress", "Shirtless item and a item"),
        ("skies are no sky-blue ties", "skies are no sky-blue ties"),
    ],
)
def test_class_words(text, masked):
    names = ["Tshirts", "Watches", "Flip Flops", "Dresses", "Shirts", "of"]
    assert class_word_mask(names)(text) == masked


def test_no_class_words_to_mask():
    assert class_word_mask(["7", "x"])("x 7") == "x 7"


def test_coco_has_no_columns_to_choose(coco, settings):
    with pytest.raises(DataError, match="does not take label-column='kind'"):
        load_dataset(*settings(f"coco:{coco}", label_column="kind"))

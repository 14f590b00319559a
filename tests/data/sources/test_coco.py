"""COCO captions, as a miniature copy."""

import json

import pytest

from fedmvp_flwr.base.errors import DataError
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


def test_coco_has_no_columns_to_choose(coco, settings):
    with pytest.raises(DataError, match="does not take label-column='kind'"):
        load_dataset(*settings(f"coco:{coco}", label_column="kind"))

"""CUB-200-2011 and Oxford Flowers 102, as miniature copies of their archives."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.reading.splits import hold_out
from fedmvp_flwr.data.sources import cub, flowers
from fedmvp_flwr.data.sources.registry import load_dataset

BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross")


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


def write_captions(path, count=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"caption {i} of {path.stem}\n" for i in range(count)))


@pytest.fixture
def birds(tmp_path, picture):
    """Twelve birds of two species, in the layout of the archive."""
    root = tmp_path / "data" / "CUB_200_2011"
    tables = {name: [] for name in ("images", "image_class_labels", "train_test_split", "classes")}
    for i, name in enumerate(BIRDS, 1):
        tables["classes"].append(f"{i} {name}")
    for i in range(12):
        species = BIRDS[i % 2]
        name = f"{species}/bird_{i:04d}_{900 + i}"
        (root / "images" / species).mkdir(parents=True, exist_ok=True)
        picture(i).save(root / "images" / f"{name}.jpg")
        tables["images"].append(f"{i + 1} {name}.jpg")
        tables["image_class_labels"].append(f"{i + 1} {i % 2 + 1}")
        tables["train_test_split"].append(f"{i + 1} {int(i % 3 > 0)}")
        write_captions(root / "text_c10" / f"{name}.txt")
    for name, lines in tables.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def test_birds(birds, settings):
    dataset = load_dataset(*settings(f"cub:{birds}"))
    assert dataset.class_names == ("Black footed Albatross", "Laysan Albatross")
    assert [len(dataset.splits[name]) for name in ("train", "test")] == [8, 4]
    first = dataset.splits["test"][0]
    assert first.key == "001.Black_footed_Albatross/bird_0000_900.jpg"
    assert first.label == 0
    assert first.text.endswith(" of bird_0000_900")
    assert first.image.load().size == (12, 10)
    assert len({s.text.split(" of ")[0] for s in everything(dataset)}) > 1
    assert everything(load_dataset(*settings(f"cub:{birds.parent}"))) == everything(dataset)


def test_captions_beside_the_archive(birds, settings):
    (birds / "text_c10").rename(birds.parent / "text_c10")
    assert all(s.text for s in everything(load_dataset(*settings(f"cub:{birds}"))))
    (birds.parent / "text_c10").rename(birds.parent / "elsewhere")
    with pytest.raises(DataError, match=r"captions of Reed et al\. are not in"):
        load_dataset(*settings(f"cub:{birds}"))


def test_captions_that_are_not_there(birds, settings):
    for path in sorted((birds / "text_c10").glob("*/*.txt")):
        path.unlink()
    where = rf"{birds}/text_c10 \(which has no CLASS/IMAGE\.txt\) or "
    with pytest.raises(DataError, match=where):
        load_dataset(*settings(f"cub:{birds}"))
    write_captions(birds.parent / "text_c10" / "any" / "bird_0000_900.txt")  # beside it
    samples = everything(load_dataset(*settings(f"cub:{birds}")))
    assert [s.has("text") for s in samples].count(True) == 1


@pytest.mark.parametrize("beside", [False, True])
def test_captions_in_links_that_lead_out_are_named(birds, settings, tmp_path, beside):
    captions = birds / "text_c10"
    if beside:
        captions = captions.rename(birds.parent / "text_c10")
    first, second, *_ = sorted(captions.glob("*/*.txt"))
    first.rename(tmp_path / "secret.txt")
    first.symlink_to(tmp_path / "secret.txt")
    second.rename(captions / "within.txt")
    second.symlink_to(captions / "within.txt")
    expected = f"1 x path out of the folder: text_c10/{BIRDS[0]}/{first.name}: '{first}'"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"cub:{birds}"))
    kept = load_dataset(*settings(f"cub:{birds}", bad_samples="skip"))
    assert len(everything(kept)) == 11
    captions.rename(tmp_path / "elsewhere")
    captions.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="text_c10' is a symbolic link"):
        load_dataset(*settings(f"cub:{birds}"))


@pytest.mark.parametrize(
    "name", ["images", "image_class_labels", "train_test_split", "classes", "../CUB_200_2011"]
)
def test_tables_of_birds_in_links_that_lead_out_are_refused(birds, settings, tmp_path, name):
    path = birds.parent / "CUB_200_2011" if name.startswith("..") else birds / f"{name}.txt"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"{path.name}' is a symbolic link"):
        load_dataset(*settings(f"cub:{birds.parent}"))


def test_a_split_that_is_neither_0_nor_1(birds, settings):
    path = birds / "train_test_split.txt"
    path.write_text(path.read_text().replace("3 1\n", "3 yes\n", 1))
    expected = r"train_test_split\.txt:3: expected 1 \(training\) or 0 \(test\), has 'yes'"
    with pytest.raises(DataError, match=f"1 x broken line: {expected}"):
        load_dataset(*settings(f"cub:{birds}"))
    assert len(everything(load_dataset(*settings(f"cub:{birds}", bad_samples="skip")))) == 11


def test_the_papers_split_pools_both(birds, settings):
    dataset = load_dataset(*settings(f"cub:{birds}", benchmark_split="paper"))
    assert [len(dataset.splits[name]) for name in ("train", "test")] == [11, 1]
    other = load_dataset(*settings(f"cub:{birds}", benchmark_split="paper", data_seed=3))
    assert len(other.splits["test"]) == 1


def test_too_few_birds_for_the_papers_split(birds, settings):
    lines = (birds / "images.txt").read_text().splitlines()
    (birds / "images.txt").write_text("\n".join(lines[:3]))
    expected = r"nothing in the test split: .* holds out 10\.0% of the 3 usable samples\. Complete"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"cub:{birds}", benchmark_split="paper"))


@pytest.mark.parametrize(
    ("share", "total", "classes", "expected"),
    [
        (cub._PAPER_TEST_SHARE, 11788, 200, (10610, 1178)),
        (flowers._PAPER_TEST_SHARE, 8189, 102, (7370, 819)),
    ],
)
def test_the_papers_sizes_of_the_whole_archives(share, total, classes, expected):
    assert isinstance(share, Fraction)
    samples = [Sample(str(i), i % classes, None, "t") for i in range(total)]
    train, test = hold_out(samples, float(share), 0)
    assert (len(train), len(test)) == expected
    per_class = Counter(s.label for s in test)
    assert max(per_class.values()) - min(per_class.values()) <= 1
    assert len(per_class) == classes


def renamed(birds, old, new):
    """Give a bird another name in its class; its captions go with it."""
    for folder, suffix in (("images", "jpg"), ("text_c10", "txt")):
        (path,) = (birds / folder).glob(f"*/{old}.{suffix}")
        path.rename(path.with_stem(new))
    table = birds / "images.txt"
    table.write_text(table.read_text().replace(old, new))


def test_captions_of_birds_that_differ_by_class_alone(birds, settings):
    renamed(birds, "bird_0000_900", "1")
    renamed(birds, "bird_0001_901", "1")
    (birds / "text_c10" / BIRDS[0] / "1.txt").write_text("a black one\n")
    (birds / "text_c10" / BIRDS[1] / "1.txt").write_text("a white one\n")
    texts = {s.key: s.text for s in everything(load_dataset(*settings(f"cub:{birds}")))}
    keys = [f"{species}/1.jpg" for species in BIRDS]
    assert [texts[key] for key in keys] == ["a black one", "a white one"]
    (birds / "text_c10" / BIRDS[0] / "1.txt").unlink()  # and nobody takes those of another bird
    texts = {s.key: s.text for s in everything(load_dataset(*settings(f"cub:{birds}")))}
    assert [texts[key] for key in keys] == [None, "a white one"]


def test_captions_that_may_be_of_two_birds(birds, settings):
    renamed(birds, "bird_0000_900", "1")
    renamed(birds, "bird_0001_901", "1")
    captions = birds / "text_c10"
    (captions / BIRDS[0]).rename(captions / "a")
    (captions / BIRDS[1]).rename(captions / "b")
    expected = rf"{captions}/a/1\.txt and {captions}/b/1\.txt may be .* of {BIRDS[0]}/1"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"cub:{birds}"))
    (captions / "b" / "1.txt").unlink()
    expected = rf"a/1\.txt may be the captions of {BIRDS[0]}/1\.jpg or {BIRDS[1]}/1\.jpg"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"cub:{birds}"))
    (captions / "a" / "1.txt").unlink()
    (captions / "a" / "unused.txt").touch()
    (captions / "b" / "unused.txt").touch()
    samples = everything(load_dataset(*settings(f"cub:{birds}")))
    assert [s.has("text") for s in samples].count(True) == 10


def test_captions_of_a_flower_in_two_folders(blossoms, settings):
    write_captions(blossoms / "text_c10" / "class_00009" / "image_00002.txt")
    with pytest.raises(DataError, match=r"class_00002/image_00002.* and .*class_00009/image_00002"):
        load_dataset(*settings(f"flowers:{blossoms}"))


def test_a_hole_where_an_image_has_no_captions(birds, settings):
    next((birds / "text_c10").glob("*/bird_0005_905.txt")).unlink()
    samples = everything(load_dataset(*settings(f"cub:{birds}")))
    holes = [s.key for s in samples if not s.has("text")]
    assert holes == ["002.Laysan_Albatross/bird_0005_905.jpg"]


def test_everything_wrong_with_the_birds_at_once(birds, settings):
    next((birds / "images").glob("*/bird_0002*")).unlink()
    lines = (birds / "images.txt").read_text().splitlines()
    lines[4] = "5"
    lines[6] = "7 ../../elsewhere.jpg"
    (birds / "images.txt").write_text("\n".join(lines))
    labels = (birds / "image_class_labels.txt").read_text().splitlines()
    labels[8], labels[9] = "9 77", ""
    (birds / "image_class_labels.txt").write_text("\n".join(labels))
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"cub:{birds}"))
    for part in (
        "missing file: images.txt:3: 'images/001.Black_footed_Albatross/bird_0002_902.jpg'",
        "broken line: images.txt:5: expected: ID VALUE",
        "path out of the folder: images.txt:7",
        "unknown label: images.txt:9: '77' is none of the 2 classes",
        "sample without label: images.txt:10: image 10 is not in image_class_labels.txt",
    ):
        assert part in str(error.value)
    kept = everything(load_dataset(*settings(f"cub:{birds}", bad_samples="skip")))
    assert len(kept) == 12 - 5


def test_no_birds(tmp_path, settings):
    with pytest.raises(DataError, match=r"images\.txt' cannot be read"):
        load_dataset(*settings(f"cub:{tmp_path}"))


@pytest.fixture
def blossoms(tmp_path, picture):
    """Twelve flowers of three species, in the layout of the archives."""
    from scipy.io import savemat

    root = tmp_path / "flowers"
    (root / "jpg").mkdir(parents=True)
    labels = [i % 3 + 1 for i in range(12)]
    for i, label in enumerate(labels, 1):
        picture(i).save(root / "jpg" / f"image_{i:05d}.jpg")
        write_captions(root / "text_c10" / f"class_{label:05d}" / f"image_{i:05d}.txt")
    savemat(root / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    savemat(
        root / "setid.mat",
        {
            "trnid": np.array([[1, 2, 3]]),
            "valid": np.array([[4, 5, 6]]),
            "tstid": np.arange(7, 13)[None],
        },
    )
    return root


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


@pytest.mark.parametrize("keys", [{"label_column": "a"}, {"id_column": "a", "text_column": "none"}])
def test_columns_that_nobody_reads_are_refused(birds, blossoms, settings, keys):
    for dataset in (f"cub:{birds}", f"flowers:{blossoms}"):
        with pytest.raises(
            DataError, match=r"does not take .*: its files have no columns"
        ) as error:
            load_dataset(*settings(dataset, **keys))
        for key, value in keys.items():
            assert f"{key.replace('_', '-')}='{value}'" in str(error.value)
        with pytest.raises(DataError, match="does not take partition='column:site'"):
            load_dataset(*settings(dataset, partition="column:site"))

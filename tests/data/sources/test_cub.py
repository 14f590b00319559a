"""CUB-200-2011, as a miniature copy of its archive."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.registry import load_dataset

BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross")


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


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


def test_captions_that_are_not_there(birds, settings, write_captions):
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

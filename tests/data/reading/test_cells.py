"""Cells of any type, texts that cannot be seen, and labels that look the same."""

import unicodedata

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.cells import BadCell, as_label, as_texts, is_empty
from fedmvp_flwr.data.reading.classes import classes_of
from fedmvp_flwr.data.sources.folder import load_folder

NFC, NFD = "caf\u00e9", "cafe\u0301"


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


@pytest.mark.parametrize("value", [None, float("nan"), "", " \n", "\u200b", "\ufeff \u200d\x00"])
def test_what_says_nothing(value):
    assert is_empty(value)
    assert as_label(value) is None
    assert as_texts(value) == []


@pytest.mark.parametrize("value", ["a", "\u200ba", "\ud800", "0", 0, "🏴"])
def test_what_says_something(value):
    assert not is_empty(value)


@pytest.mark.parametrize("value", [True, {"a": 1}, [1], (1,)])
def test_labels_that_are_none(value):
    assert isinstance(as_label(value), BadCell)


@pytest.mark.parametrize(("value", "label"), [(3, "3"), (3.0, "3"), (" 3 ", "3"), (b"x", "x")])
def test_labels(value, label):
    assert as_label(value) == label
    assert not isinstance(as_label(value), BadCell)


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        (3, ["3"]),
        (b"caf\xc3\xa9", [NFC]),
        (["a", None, ["b"]], ["a", "b"]),
        ('["a", "\u200b"]', ["a"]),
        ('["a', ['["a']),
        (' [ "one", "two" ] ', ["one", "two"]),
        ('[\n"one"\n]', ["one"]),
        ("[]", []),
        ("[ ]", []),
        ("[null]", []),
        ('[null, "b"]', ["b"]),
        ("[sic]", ["[sic]"]),
        ("[1, 2]", ["[1, 2]"]),
        ('[null, "b", 3]', ['[null, "b", 3]']),
        ("[a] and [b]", ["[a] and [b]"]),
        ("[[]]", ["[[]]"]),
        ("[", ["["]),
    ],
)
def test_texts(cell, texts):
    assert as_texts(cell) == texts


@pytest.mark.parametrize(
    "cell", [False, {"a": 1}, ["a", True], '["a", {}]', '[ "a", 1.5, true]', '["a", ' + "[" * 9**5]
)
def test_cells_that_are_no_text(cell):
    with pytest.raises(DataError, match=r"is no text|nested too deeply"):
        as_texts(cell)


def test_cells_of_a_wrong_type_are_named(folder, settings):
    def change(rows):
        rows[0]["text"], rows[1]["text"] = {"en": "a"}, True
        rows[2]["label"], rows[3]["label"] = ["a"], False
        rows[4].update(file_name=None, text="\u200b\u2060")

    root = folder(change)
    with pytest.raises(DataError) as error:
        load_folder(root, *settings())
    for part in (
        "4 x cell of a type that cannot be used: metadata.jsonl:1: {'en': 'a'} is no text",
        "metadata.jsonl:2: True is no text",
        "metadata.jsonl:3: label ['a'] is no name or number",
        "metadata.jsonl:4: label False is no name or number",
        "1 x sample without image and text: metadata.jsonl:5",
    ):
        assert part in str(error.value)
    dataset = load_folder(root, *settings(bad_samples="skip"))
    assert len(everything(dataset)) == 5
    assert dataset.class_names == ("a", "b")


def test_bytes_of_a_parquet_file(folder, settings):
    import pandas as pd

    root = folder()
    table = pd.read_json(root / "metadata.jsonl", lines=True)
    (root / "metadata.jsonl").unlink()
    table["text"] = [b"caf\xc3\xa9"] * 9 + [b"\xff"]
    table.to_parquet(root / "metadata.parquet")
    with pytest.raises(DataError, match=f"1 x {found.BROKEN_TEXT}: metadata.parquet:row 10"):
        load_folder(root, *settings())
    dataset = load_folder(root, *settings(bad_samples="skip"))
    assert {s.text for s in everything(dataset)} == {NFC}


@pytest.mark.parametrize("label", ["--1", "-", "1" * 5000, "-" + "9" * 700])
def test_labels_that_are_no_numbers_sort_as_text(label):
    assert classes_of([label, "10", "9"]).names == tuple(sorted([label, "10", "9"]))


def test_numbers_sort_as_numbers():
    assert classes_of(["10", "-1", "9"]).names == ("-1", "9", "10")


def test_labels_that_look_the_same_are_one_class(folder, settings):
    labels = [NFC, NFD, f"\u200b{NFC}", "b", "b\ufeff"]
    root = folder(lambda rows: [dict(r, label=labels[i % 5]) for i, r in enumerate(rows)])
    dataset = load_folder(root, *settings())
    assert dataset.class_names == ("b", NFC)
    assert [s.label for s in everything(dataset)].count(1) == 6
    for name in (NFC, NFD):
        given = load_folder(root, *settings(), ["b", name])
        assert given.class_names == ("b", name)
        assert [s.label for s in everything(given)].count(1) == 6


def test_keys_stay_as_they_are(folder, settings, picture):
    root = folder(lambda rows: [dict(rows[0], file_name=f"{NFD}.png"), *rows[1:]])
    picture().save(root / f"{NFD}.png")
    assert f"{NFD}.png" in {s.key for s in everything(load_folder(root, *settings()))}
    assert not unicodedata.is_normalized("NFC", NFD)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{NFC}\n{NFD}\n", r"'caf\\xe9' and 'cafe\\u0301' look the same"),
        ("a\n\n\tthe second\n", r"names\.txt', line 3, has no name before the tab"),
        ("a\n\u200b\tthe second\n", "line 2, has no name"),
        ("\n\u200b\n", "names no class"),
    ],
)
def test_files_of_class_names_that_cannot_be_used(folder, settings, tmp_path, content, message):
    path = tmp_path / "names.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_folder(folder(), *settings(class_names_file=str(path)))


def test_a_line_of_class_names_ends_at_a_line_feed(folder, settings, tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("a\tone\u2028two\r\nb\r\n".encode())
    dataset = load_folder(folder(), *settings(class_names_file=str(path)))
    assert dataset.class_names == ("a", "b")
    assert dataset.class_descriptions == ("one\u2028two", "b")


def test_given_classes_that_look_the_same_are_refused(folder, settings):
    with pytest.raises(DataError, match="look the same"):
        load_folder(folder(), *settings(), ["a", "b", "b\u200b"])

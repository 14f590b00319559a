"""What every source's entries are checked for: splits, cells that are no names, unknown labels."""

import difflib

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.cells import as_label
from fedmvp_flwr.data.reading.classes import named_classes
from fedmvp_flwr.data.reading.entries import Entry, build_dataset
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.sources.registry import load_dataset


def entry(number, **changes):
    values = {"label": "a", "image": None, "texts": ("t",), "split": "train"}
    return Entry(f"line {number}", f"key {number}", **values | changes)


def build(entries, settings, classes=None):
    data, cache = settings
    findings = Findings("test", cache)
    return build_dataset(entries, data, findings, classes), findings


def sizes(dataset):
    return {name: len(samples) for name, samples in dataset.splits.items()}


def test_samples_without_a_split_are_named_where_others_have_one(settings, write_jsonl, tmp_path):
    splits = ["train", "train", "test", None, "", None]
    rows = [{"text": "t", "label": "ab"[i % 2], "split": s} for i, s in enumerate(splits)]
    write_jsonl(tmp_path / "metadata.jsonl", rows)
    keys = {"dataset": f"folder:{tmp_path}", "image_column": "none"}
    with pytest.raises(DataError, match=f"3 x {found.NO_SPLIT}: metadata.jsonl:4; .*5; .*6"):
        load_dataset(*settings(**keys))
    dataset = load_dataset(*settings(**keys, bad_samples="skip"))
    assert sizes(dataset) == {"train": 2, "test": 1}
    assert f"3 x {found.NO_SPLIT}" in "\n".join(dataset.findings.summary())


def test_no_sample_needs_a_split_where_none_has_one(settings):
    dataset, findings = build([entry(i, split=None) for i in range(10)], settings())
    assert sizes(dataset) == {"train": 8, "test": 2}
    assert not findings.bad


@pytest.mark.parametrize(
    ("keys", "names", "lost"),
    [
        ({"test_split": "val"}, "train test val", "test"),
        ({"train_split": "training"}, "train test training", "train"),
    ],
)
def test_a_split_whose_name_is_taken_is_noted(settings, keys, names, lost):
    entries = [entry(i, split=name) for i, name in enumerate(names.split() * 3)]
    _, findings = build(entries, settings(**keys))
    assert findings.notes[f"{found.UNUSED_SPLIT}: '{lost}'"] == 3


@pytest.mark.parametrize("cell", [{"a": 1}, True, list(range(50))])
@pytest.mark.parametrize("column", ["key", "owner", "split"])
def test_a_cell_that_is_no_name_is_named(settings, cell, column):
    entries = [entry(i, owner="o") for i in range(3)]
    bad = {"where": "line 3", "key": "k", "label": "a", "image": None, "texts": ("t",)}
    bad |= {"split": "test", "owner": "o", column: as_label(cell)}
    with pytest.raises(DataError) as error:
        build([*entries, Entry(**bad)], settings())
    name = "id" if column == "key" else column
    assert f"1 x {found.NO_CELL}: line 3: {name} {as_label(cell)} is no name" in str(error.value)


def test_the_nearest_class_is_looked_for_once_and_for_those_that_are_shown(settings, monkeypatch):
    asked = []
    near = difflib.get_close_matches

    def count(label, *args, **keys):
        asked.append(label)
        return near(label, *args, **keys)

    monkeypatch.setattr(difflib, "get_close_matches", count)
    entries = [entry(i, label=f"apple{i // 2}") for i in range(200)]
    with pytest.raises(DataError) as error:
        build(entries, settings(), named_classes(["apple", "b"]))
    assert len(asked) == found.SHOWN
    assert str(error.value).count("did you mean 'apple'?") == found.SHOWN
    assert "and 180 more" in str(error.value)


def test_names_that_are_no_unicode_are_escaped_and_recorded(tmp_path):
    findings = Findings("folder:tr\udce9", tmp_path)
    findings.add(found.MISSING_FILE, "tr\udce9/metadata.csv:2", "'\udce9.png'")
    findings.note(f"{found.CLOSED_FOLDER}: '\udce9'")
    with pytest.raises(DataError) as error:
        findings.refuse_if("refuse")
    for text in (str(error.value), *findings.summary()):
        assert text.encode()
    assert r"tr\udce9/metadata.csv:2: '\udce9.png'" in str(error.value)

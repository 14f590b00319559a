"""A new data source, partition and missing pattern: one function and one entry each, no more."""

import sys
from types import ModuleType

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.choices import Value, number, text
from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.by_owner import Dealt
from fedmvp_flwr.data.dealing.client_samples import client_samples
from fedmvp_flwr.data.dealing.missing import MissingMask, real_mask
from fedmvp_flwr.data.dealing.partition import PARTITIONS, Partition
from fedmvp_flwr.data.dealing.patterns import PATTERNS, Pattern
from fedmvp_flwr.data.reading.entries import Entry, build_dataset
from fedmvp_flwr.data.reading.files import find_images, require_folder
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.sources.registry import SOURCES, Source, load_dataset
from fedmvp_flwr.preflight.checks import preflight

MINE = {"partition": "halves:3", "missing_pattern": "every:2", "test_missing_pattern": "every:3"}


def load_names(path, data, cache):
    """Images whose name is LABEL-SPLIT-NUMBER.png; their text is their name."""
    findings = Findings(f"names:{path}", cache)
    root = require_folder(path)
    names = sorted(file.name for file in root.iterdir())
    images = find_images(root, [(name, name) for name in names], findings)
    entries = [
        Entry(name, name, name.split("-")[0], image, (name,), name.split("-")[1])
        for name, (image, usable) in zip(names, images, strict=True)
        if usable
    ]
    return build_dataset(entries, data, findings)


def halves(train, test, least, clients, seed):
    """Every second sample to each of two clients."""
    assert len(train) // clients >= least
    return Dealt([list(range(c, len(train), clients)) for c in range(clients)], {0: 1})


def every(samples, holes):
    """Every so many samples lose the text."""
    kept = tuple(index % holes.value != 0 for index in range(len(samples)))
    return MissingMask(real_mask(samples).keys, {IMAGE: (True,) * len(samples), TEXT: kept})


@pytest.fixture
def mine(tmp_path, picture, monkeypatch):
    module = ModuleType("my_source")
    module.load_names = load_names
    monkeypatch.setitem(sys.modules, "my_source", module)
    monkeypatch.setitem(SOURCES, "names", Source("my_source:load_names", Value("a path", text)))
    least = Value("a whole number", number(int, 1), default=1)
    monkeypatch.setitem(PARTITIONS, "halves", Partition(halves, least))
    monkeypatch.setitem(PATTERNS, "every", Pattern(every, least, own_ratio=True))
    root = tmp_path / "named"
    root.mkdir()
    for i in range(20):
        split = "test" if i % 5 == 4 else "train"
        picture(i).save(root / f"{'ab'[i % 2]}-{split}-{i:02d}.png")
    config = RunConfig.of(dataset=f"names:{root}", cache_dir=str(tmp_path / "cache"), **MINE)
    load_dataset.cache_clear()
    yield config
    load_dataset.cache_clear()


def test_samples_come_are_dealt_and_lose_modalities(mine, tmp_path):
    dataset = load_dataset(mine.data, tmp_path / "cache")
    assert dataset.class_names == ("a", "b")
    own = [
        client_samples(dataset, Node(c, 2, tmp_path / "cache"), mine.data, mine.missing, mine.run)
        for c in range(2)
    ]
    assert [len(samples.train) for samples in own] == [8, 8]
    assert [[s.has(TEXT) for s in samples.train] for samples in own] == [[False, True] * 4] * 2
    first = dataset.splits["test"][0].key
    (there,) = [s for s in own[1].test if s.key == first]
    assert not there.has(TEXT)
    assert sum(not s.has(TEXT) for samples in own for s in samples.test) == 2


def test_the_preflight_knows_them(mine):
    report = preflight(mine, 2)
    assert report.problems == []
    assert [(row["samples"], row["text missing"]) for row in report.rows] == [(8, 4), (8, 4)]
    assert "Test set of the server: 0 without image, 2 without text." in report.notes


def test_what_they_do_not_take_is_told_before_a_run(mine):
    wrong = {
        "partition": "halfs",
        "missing_pattern": "evry:2",
        "test_missing_pattern": "every:x",
        "text_column": "text",
    }
    said = "\n".join(
        problem
        for key, value in wrong.items()
        for problem in preflight(mine.changed(**{key: value}), 0).problems
    )
    for part in ("did you mean 'halves'", "did you mean 'every'", "'every:' and a whole number"):
        assert part in said
    assert "does not take text-column='text': its files have no columns" in said

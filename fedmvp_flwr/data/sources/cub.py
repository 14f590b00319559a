"""Caltech-UCSD Birds 200-2011 as its archive unpacks, with the captions of Reed et al."""

from fractions import Fraction
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.entries import (
    Entry,
    LoadedDataset,
    build_dataset,
    named_classes,
    printable,
    read_classes,
)
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, NO_LABEL, Findings
from fedmvp_flwr.data.reading.splits import TEST, TRAIN
from fedmvp_flwr.data.sources.benchmark import paper_split
from fedmvp_flwr.data.sources.reed import find_captions

ARCHIVE = "CUB_200_2011"
_PAPER_TEST_SHARE = Fraction(1178, 11788)
_IMAGES, _LABELS, _SPLIT, _CLASSES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)
_SPLIT_NAMES = {"1": TRAIN, "0": TEST}


def load_cub(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the folder `CUB_200_2011`, or the folder that holds it.

    Args:
        path: the folder.
        data: split, captions, and what to do with bad samples.
        cache: folder that keeps what the checks of images found.

    Raises:
        DataError: a file is missing or broken, or a link leads out; names file and line.
    """
    findings = Findings(f"cub:{path}", cache)
    root = require_folder(path)
    if (root / ARCHIVE).is_dir():
        root = require_inside(root, root / ARCHIVE).resolve()
    names = _read_pairs(root, _IMAGES, findings)
    labels = _read_pairs(root, _LABELS, findings)
    split = _read_pairs(root, _SPLIT, findings)
    classes = _read_pairs(root, _CLASSES, findings)
    ids = list(names)
    captions = find_captions(root, [names[i][1] for i in ids], ("birds", "cvpr2016_cub"))
    places = [(names[i][0], f"images/{names[i][1]}") for i in ids]
    entries = []
    for i, (image, usable) in zip(ids, find_images(root, places, findings), strict=True):
        where, name = names[i]
        if i not in labels or i not in split:
            findings.add(
                NO_LABEL, where, f"image {printable(i)} is not in {_LABELS} or not in {_SPLIT}"
            )
        elif split[i][1] not in _SPLIT_NAMES:
            place, value = split[i]
            what = f"expected 1 (training) or 0 (test), has '{printable(value)[:60]}'"
            findings.add(BROKEN_LINE, place, what)
        elif usable and (texts := captions.read(name, findings)) is not None:
            entries.append(
                Entry(
                    where=where,
                    key=printable(name),
                    label=class_name(classes.get(labels[i][1], ("", labels[i][1]))[1]),
                    image=image,
                    texts=texts,
                    split=_SPLIT_NAMES[split[i][1]],
                )
            )
    known = read_classes(data) or named_classes([class_name(name) for _, name in classes.values()])
    dataset = build_dataset(entries, data, findings, known)
    if data.benchmark_split == "paper":
        return paper_split(dataset, data, _PAPER_TEST_SHARE)
    return dataset


def class_name(name: str) -> str:
    """The name in words: 001.Black_footed_Albatross is a Black footed Albatross."""
    number, dot, rest = name.partition(".")
    return printable(rest if dot and number.isdecimal() else name).replace("_", " ")


def _read_pairs(root: Path, file: str, findings: Findings) -> dict[str, tuple[str, str]]:
    """Lines "ID VALUE": by id, the place and the value."""
    path = require_inside(root, root / file)
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be read ({error.strerror}). Give the folder {ARCHIVE} of the archive."
        ) from error
    pairs: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, 1):
        where = f"{file}:{number}"
        key, _, value = line.strip().partition(" ")
        if not line.strip():
            continue
        if not value or key in pairs:
            findings.add(BROKEN_LINE, where, "an id twice" if value else "expected: ID VALUE")
            continue
        pairs[key] = (where, value.strip())
    return pairs

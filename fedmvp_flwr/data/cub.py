"""Caltech-UCSD Birds 200-2011 as its archive unpacks, with the captions of Reed et al."""

from fractions import Fraction
from pathlib import Path

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.benchmark import paper_split
from fedmvp_flwr.data.entries import (
    Entry,
    LoadedDataset,
    build_dataset,
    named_classes,
    read_classes,
)
from fedmvp_flwr.data.files import find_images, require_folder
from fedmvp_flwr.data.findings import BROKEN_LINE, NO_LABEL, Findings
from fedmvp_flwr.data.reed import find_captions, read_captions
from fedmvp_flwr.data.splits import TEST, TRAIN
from fedmvp_flwr.errors import DataError

ARCHIVE = "CUB_200_2011"
_PAPER_TEST_SHARE = Fraction(1178, 11788)
_IMAGES, _LABELS, _SPLIT, _CLASSES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)


def load_cub(path: str, config: RunConfig) -> LoadedDataset:
    """Read the folder `CUB_200_2011`, or the folder that holds it.

    Args:
        path: the folder.
        config: split, captions, and what to do with bad samples.

    Raises:
        DataError: a file is missing or broken; names file and line.
    """
    root = require_folder(path)
    root = root / ARCHIVE if (root / ARCHIVE).is_dir() else root
    findings = Findings(f"cub:{path}")
    names = _read_pairs(root / _IMAGES, findings)
    labels = _read_pairs(root / _LABELS, findings)
    split = _read_pairs(root / _SPLIT, findings)
    classes = _read_pairs(root / _CLASSES, findings)
    captions = find_captions(root, ("birds", "cvpr2016_cub"))
    ids = list(names)
    places = [(names[i][0], f"images/{names[i][1]}") for i in ids]
    entries = []
    for i, (image, usable) in zip(ids, find_images(root, places, config, findings), strict=True):
        where, name = names[i]
        if i not in labels or i not in split:
            findings.add(NO_LABEL, where, f"image {i} is not in {_LABELS} or not in {_SPLIT}")
        elif usable:
            entries.append(
                Entry(
                    where=where,
                    key=name,
                    label=class_name(classes.get(labels[i][1], ("", labels[i][1]))[1]),
                    image=image,
                    texts=(read_captions(captions.get(Path(name).stem)),),
                    split=TRAIN if split[i][1] == "1" else TEST,
                )
            )
    known = read_classes(config) or named_classes(
        [class_name(name) for _, name in classes.values()]
    )
    dataset = build_dataset(entries, config, findings, known)
    if config.benchmark_split == "paper":
        return paper_split(dataset, config, _PAPER_TEST_SHARE)
    return dataset


def class_name(name: str) -> str:
    """The name in words: 001.Black_footed_Albatross is a Black footed Albatross."""
    number, dot, rest = name.partition(".")
    return (rest if dot and number.isdecimal() else name).replace("_", " ")


def _read_pairs(path: Path, findings: Findings) -> dict[str, tuple[str, str]]:
    """Lines "ID VALUE": by id, the place and the value."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be read ({error.strerror}). Give the folder {ARCHIVE} of the archive."
        ) from error
    pairs: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path.name}:{number}"
        key, _, value = line.strip().partition(" ")
        if not line.strip():
            continue
        if not value or key in pairs:
            findings.add(BROKEN_LINE, where, "an id twice" if value else "expected: ID VALUE")
            continue
        pairs[key] = (where, value.strip())
    return pairs

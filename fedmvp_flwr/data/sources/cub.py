"""Caltech-UCSD Birds 200-2011 as its archive unpacks, with the captions of Reed et al."""

from fractions import Fraction
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TEST, TRAIN
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.classes import named_classes
from fedmvp_flwr.data.reading.entries import Entry, LoadedDataset
from fedmvp_flwr.data.reading.files import require_folder, require_inside
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, NO_LABEL, Findings
from fedmvp_flwr.data.sources.benchmarks import build_benchmark

ARCHIVE = "CUB_200_2011"
_PAPER_TEST_SHARE = Fraction(1178, 11788)
_LABELS, _SPLIT = "image_class_labels.txt", "train_test_split.txt"
_SPLIT_NAMES = {"1": TRAIN, "0": TEST}
_CAPTIONS = ("birds", "cvpr2016_cub")


def load_cub(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the folder `CUB_200_2011`, or the folder that holds it.

    Raises:
        DataError: a file is missing or broken, or a link leads out; names file and line.
    """
    findings = Findings(f"cub:{path}", cache)
    root = require_folder(path)
    if (root / ARCHIVE).is_dir():
        root = require_inside(root, root / ARCHIVE).resolve()
    names = _read_pairs(root, "images.txt", findings)
    labels = _read_pairs(root, _LABELS, findings)
    splits = _read_pairs(root, _SPLIT, findings)
    classes = _read_pairs(root, "classes.txt", findings)
    found = []
    for number, (where, name) in names.items():
        if number not in labels or number not in splits:
            what = f"image {printable(number)} is not in {_LABELS} or not in {_SPLIT}"
            findings.add(NO_LABEL, where, what)
            continue
        place, split = splits[number]
        if split not in _SPLIT_NAMES:
            what = f"expected 1 (training) or 0 (test), has '{printable(split)[:60]}'"
            findings.add(BROKEN_LINE, place, what)
            continue
        label = labels[number][1]
        label = class_name(classes[label][1] if label in classes else label)
        entry = Entry(where, printable(name), label, None, split=_SPLIT_NAMES[split])
        found.append((entry, f"images/{name}"))
    known = named_classes([class_name(name) for _, name in classes.values()])
    return build_benchmark(root, found, _CAPTIONS, _PAPER_TEST_SHARE, data, findings, known)


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
        if not value or key in pairs:
            if key:
                findings.add(BROKEN_LINE, where, "an id twice" if value else "expected: ID VALUE")
            continue
        pairs[key] = (where, value.strip())
    return pairs

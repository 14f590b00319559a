"""Oxford Flowers 102 as its archives unpack, with the captions of Reed et al."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.entries import (
    Classes,
    Entry,
    LoadedDataset,
    build_dataset,
    named_classes,
    read_classes,
)
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.reading.splits import TEST, TRAIN, VALIDATION
from fedmvp_flwr.data.sources.benchmark import paper_split
from fedmvp_flwr.data.sources.reed import find_captions

_PAPER_TEST_SHARE = Fraction(819, 8189)
_LABELS, _SPLITS = "imagelabels.mat", "setid.mat"
_SPLIT_KEYS = {"trnid": TRAIN, "valid": VALIDATION, "tstid": TEST}
_NUM_CLASSES = 102


def load_flowers(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the folder that holds `jpg/`, `imagelabels.mat`, `setid.mat` and `text_c10/`.

    The class names are those of `class-names-file` or of torchvision, where it is installed;
    the archive has none.

    Args:
        path: the folder.
        data: split, captions, and what to do with bad samples.
        cache: folder that keeps what the checks of images found.

    Raises:
        DataError: a file is missing or broken, or they do not fit each other.
    """
    findings = Findings(f"flowers:{path}", cache)
    root = require_folder(path)
    labels = _read_mat(root, _LABELS, ("labels",))["labels"]
    split = _read_splits(root)
    beyond = sorted(number for number in split if not 1 <= number <= len(labels))
    if beyond:
        raise DataError(f"{_SPLITS} names image {beyond[0]}, {_LABELS} has {len(labels)} labels.")
    classes = read_classes(data) or _class_names(max(labels, default=0))
    if max(labels, default=0) > len(classes.names) or min(labels, default=1) < 1:
        raise DataError(
            f"{_LABELS} has labels {min(labels)} to {max(labels)}, expected 1 to "
            f"{len(classes.names)}."
        )
    numbers = sorted(split)
    places = [(f"{_SPLITS}:image {n}", f"jpg/image_{n:05d}.jpg") for n in numbers]
    captions = find_captions(root, [name for _, name in places], ("flowers", "cvpr2016_flowers"))
    entries = [
        Entry(
            where=where,
            key=name,
            label=classes.names[labels[number - 1] - 1],
            image=image,
            texts=texts,
            split=split[number],
        )
        for number, (where, name), (image, usable) in zip(
            numbers, places, find_images(root, places, findings), strict=True
        )
        if usable and (texts := captions.read(name, findings)) is not None
    ]
    dataset = build_dataset(entries, data, findings, classes)
    if data.benchmark_split == "paper":
        return paper_split(dataset, data, _PAPER_TEST_SHARE)
    return dataset


def _read_splits(root: Path) -> dict[int, str]:
    """By image the name of its split."""
    parts = _read_mat(root, _SPLITS, tuple(_SPLIT_KEYS))
    split: dict[int, str] = {}
    first: dict[int, str] = {}
    for key, name in _SPLIT_KEYS.items():
        for number in parts[key]:
            if first.setdefault(number, key) != key:
                raise DataError(
                    f"'{root / _SPLITS}' names image {number} in {first[number]} and in {key}; "
                    "an image belongs to one split. Take the file from the archive again."
                )
            split[number] = name
    return split


def _read_mat(root: Path, file: str, names: tuple[str, ...]) -> dict[str, list[int]]:
    """Read vectors of integers of a MATLAB file."""
    from scipy.io import loadmat

    path = require_inside(root, root / file)
    if not path.is_file():
        raise DataError(f"'{path}' is missing. It belongs to the data set's own files.")
    try:
        content: dict[str, Any] = loadmat(path, variable_names=list(names))
    except Exception as error:  # scipy raises whatever a damaged file leads it to
        raise DataError(f"'{path}' is no MATLAB file that can be read ({error}).") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise DataError(f"'{path}' has no {missing}; it has {sorted(content)}.")
    return {name: _whole_numbers(content[name], name, path) for name in names}


def _whole_numbers(values: Any, name: str, path: Path) -> list[int]:  # noqa: ANN401 - any of MATLAB
    try:
        numbers = [int(value) for value in values.ravel()]
        if all(number == value for number, value in zip(numbers, values.ravel(), strict=True)):
            return numbers
    except (AttributeError, TypeError, ValueError, OverflowError):
        pass  # text, cells, a sparse matrix, NaN: refused below like 1.5
    raise DataError(f"'{path}': '{name}' must hold whole numbers alone.")


def _class_names(count: int) -> Classes:
    try:
        from torchvision.datasets import Flowers102

        names = list(Flowers102.classes)
    except (ImportError, AttributeError):
        names = [f"flower {number}" for number in range(1, _NUM_CLASSES + 1)]
    return named_classes(names[:count])

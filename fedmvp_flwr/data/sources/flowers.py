"""Oxford Flowers 102 as its archives unpack, with the captions of Reed et al."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TEST, TRAIN, VALIDATION
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.classes import Classes, named_classes, read_classes
from fedmvp_flwr.data.reading.entries import Entry, LoadedDataset
from fedmvp_flwr.data.reading.files import require_folder, require_inside
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.sources.benchmarks import build_benchmark

_PAPER_TEST_SHARE = Fraction(819, 8189)
_LABELS, _SPLITS = "imagelabels.mat", "setid.mat"
_SPLIT_KEYS = {"trnid": TRAIN, "valid": VALIDATION, "tstid": TEST}
_NUM_CLASSES = 102
_CAPTIONS = ("flowers", "cvpr2016_flowers")


def load_flowers(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the folder that holds `jpg/`, `imagelabels.mat`, `setid.mat` and `text_c10/`.

    The class names are those of `class-names-file` or of torchvision, where it is installed;
    the archive has none.

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
    found = []
    for number in sorted(split):
        name, label = f"jpg/image_{number:05d}.jpg", classes.names[labels[number - 1] - 1]
        entry = Entry(f"{_SPLITS}:image {number}", name, label, None, split=split[number])
        found.append((entry, name))
    return build_benchmark(root, found, _CAPTIONS, _PAPER_TEST_SHARE, data, findings, classes)


def _read_splits(root: Path) -> dict[int, str]:
    """By image the name of its split."""
    parts = _read_mat(root, _SPLITS, tuple(_SPLIT_KEYS))
    first: dict[int, str] = {}
    for key in _SPLIT_KEYS:
        for number in parts[key]:
            if first.setdefault(number, key) != key:
                raise DataError(
                    f"'{root / _SPLITS}' names image {number} in {first[number]} and in {key}; "
                    "an image belongs to one split. Take the file from the archive again."
                )
    return {number: _SPLIT_KEYS[key] for number, key in first.items()}


def _read_mat(root: Path, file: str, names: tuple[str, ...]) -> dict[str, list[int]]:
    """Read vectors of whole numbers of a MATLAB file."""
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
    numbers = {}
    for name in names:
        try:
            values = content[name].ravel().tolist()
            numbers[name] = [int(value) for value in values]
            whole = numbers[name] == values
        except (AttributeError, TypeError, ValueError, OverflowError):
            whole = False  # text, cells, a sparse matrix, NaN
        if not whole:
            raise DataError(f"'{path}': '{name}' must hold whole numbers alone.")
    return numbers


def _class_names(count: int) -> Classes:
    try:
        from torchvision.datasets import Flowers102

        names = list(Flowers102.classes)
    except (ImportError, AttributeError):
        names = [f"flower {number}" for number in range(1, _NUM_CLASSES + 1)]
    return named_classes(names[:count])

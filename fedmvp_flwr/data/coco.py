"""COCO captions, each image labelled with the supercategory that fills most of it."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.entries import (
    Entry,
    LoadedDataset,
    build_dataset,
    named_classes,
    read_classes,
)
from fedmvp_flwr.data.files import find_images, require_folder
from fedmvp_flwr.data.findings import BROKEN_LINE, UNLABELLED, Findings
from fedmvp_flwr.errors import DataError

_ANNOTATIONS, _CAPTIONS, _INSTANCES = "annotations", "captions_", "instances_"


def load_coco(path: str, config: RunConfig) -> LoadedDataset:
    """Read `annotations/captions_NAME.json`, `instances_NAME.json` and the images in `NAME/`.

    The split is called NAME without its year: `train`, `val`. The label of an image is the
    supercategory with the largest total area of its objects, the first by name in a tie; images
    without any object are left out and counted.

    Args:
        path: the folder.
        config: splits (`test-split='val'`), captions, and what to do with bad samples.

    Raises:
        DataError: a file is missing or broken; names the file and the entry.
    """
    root = require_folder(path)
    files = sorted((root / _ANNOTATIONS).glob(f"{_CAPTIONS}*.json"))
    if not files:
        raise DataError(
            f"'{root}/{_ANNOTATIONS}' has no {_CAPTIONS}NAME.json, for example "
            f"{_CAPTIONS}train2017.json."
        )
    findings = Findings(f"coco:{path}")
    entries: list[Entry] = []
    classes: set[str] = set()
    for file in files:
        name = file.stem.removeprefix(_CAPTIONS)
        labels, names = _labels(root / _ANNOTATIONS / f"{_INSTANCES}{name}.json", findings)
        classes |= names
        entries += _entries(root, file, name, labels, config, findings)
    return build_dataset(
        entries, config, findings, read_classes(config) or named_classes(sorted(classes))
    )


def _entries(
    root: Path,
    file: Path,
    name: str,
    labels: dict[Any, str],
    config: RunConfig,
    findings: Findings,
) -> list[Entry]:
    content = _read(file, ("images", "annotations"))
    images: dict[Any, tuple[str, str]] = {}
    for position, item in enumerate(content["images"]):
        where = f"{file.name}:images[{position}]"
        if not isinstance(item, dict) or "id" not in item or "file_name" not in item:
            findings.add(BROKEN_LINE, where, "expected id and file_name")
        elif item["id"] not in labels:
            findings.note(UNLABELLED)
        else:
            images[item["id"]] = (where, f"{name}/{item['file_name']}")
    known = {item.get("id") for item in content["images"] if isinstance(item, dict)}
    captions: dict[Any, list[str]] = defaultdict(list)
    for position, item in enumerate(content["annotations"]):
        if isinstance(item, dict) and item.get("image_id") in known and "caption" in item:
            captions[item["image_id"]].append(item["caption"])
        else:
            where = f"{file.name}:annotations[{position}]"
            findings.add(BROKEN_LINE, where, "expected a caption and the image_id of an image")
    found = find_images(root, list(images.values()), config, findings)
    return [
        Entry(where, key, labels[number], image, tuple(captions[number]), name.rstrip("0123456789"))
        for (number, (where, key)), (image, usable) in zip(images.items(), found, strict=True)
        if usable
    ]


def _labels(path: Path, findings: Findings) -> tuple[dict[Any, str], set[str]]:
    """By image the supercategory that fills most of it; all supercategories."""
    content = _read(path, ("annotations", "categories"))
    try:
        categories = {item["id"]: item["supercategory"] for item in content["categories"]}
    except (TypeError, KeyError) as error:
        raise DataError(f"'{path}': each category needs an id and a supercategory.") from error
    areas: dict[Any, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for position, item in enumerate(content["annotations"]):
        try:
            areas[item["image_id"]][categories[item["category_id"]]] += float(item["area"])
        except (TypeError, KeyError, ValueError):
            where = f"{path.name}:annotations[{position}]"
            findings.add(BROKEN_LINE, where, "expected image_id, a known category_id and area")
    labels = {
        image: min(filled, key=lambda name: (-filled[name], name))
        for image, filled in areas.items()
    }
    return labels, set(categories.values())


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is no JSON ({error}).") from error
    missing = [
        key
        for key in keys
        if not isinstance(content, dict) or not isinstance(content.get(key), list)
    ]
    if missing:
        raise DataError(f"'{path}' lacks the lists {missing}.")
    return {key: content[key] for key in keys}

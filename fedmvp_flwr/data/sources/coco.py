"""COCO captions, each image labelled with the supercategory that fills most of it."""

import reprlib
from collections import defaultdict
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
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, DUPLICATE, UNLABELLED, Findings
from fedmvp_flwr.data.sources.coco_json import (
    Id,
    annotation_place,
    as_area,
    as_caption,
    as_id,
    as_name,
    ids_of,
    read_lists,
)

_ANNOTATIONS, _CAPTIONS, _INSTANCES = "annotations", "captions_", "instances_"


def load_coco(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read `annotations/captions_NAME.json`, `instances_NAME.json` and the images in `NAME/`.

    The split is called NAME without its year: `train`, `val`. The label of an image is the
    supercategory with the largest total area of its objects, the first by name in a tie; images
    without any object are left out and counted. A caption of an image that its file does not list
    is a bad sample, and so is an object of an image that neither file lists.

    Args:
        path: the folder.
        data: splits (`test-split='val'`), captions, and what to do with bad samples.
        cache: folder that keeps what the checks of images found.

    Raises:
        DataError: a file is missing or broken; names the file and the entry.
    """
    findings = Findings(f"coco:{path}", cache)
    root = require_folder(path)
    files = sorted((root / _ANNOTATIONS).glob(f"{_CAPTIONS}*.json"))
    if not files:
        raise DataError(
            f"'{root}/{_ANNOTATIONS}' has no {_CAPTIONS}NAME.json, for example "
            f"{_CAPTIONS}train2017.json."
        )
    entries: list[Entry] = []
    classes: set[str] = set()
    for file in files:
        name = file.stem.removeprefix(_CAPTIONS)
        captions = read_lists(require_inside(root, file), ("images", "annotations"))
        listed = ids_of(captions["images"])
        labels, names = _labels(root, f"{_INSTANCES}{name}.json", listed, findings)
        classes |= names
        entries += _entries(root, file.name, name, captions, labels, data, findings)
    return build_dataset(
        entries, data, findings, read_classes(data) or named_classes(sorted(classes))
    )


def _entries(
    root: Path,
    file: str,
    name: str,
    content: dict[str, list[object]],
    labels: dict[Id, str],
    data: DataSettings,
    findings: Findings,
) -> list[Entry]:
    """Entries of one file of captions."""
    captions = _captions(content, file, findings)
    images = {}
    for number, (where, image_name) in _images(content["images"], file, findings).items():
        if number in labels:
            images[number] = (where, f"{name}/{image_name}")
        else:
            findings.note(UNLABELLED)
    found = find_images(root, list(images.values()), findings)
    return [
        Entry(
            where=where,
            key=printable(key),
            label=labels[number],
            image=image,
            texts=tuple(captions.get(number, ())),
            split=name.rstrip("0123456789"),
        )
        for (number, (where, key)), (image, usable) in zip(images.items(), found, strict=True)
        if usable
    ]


def _captions(
    content: dict[str, list[object]], file: str, findings: Findings
) -> dict[Id, list[str]]:
    """By image its captions, in the order of the file."""
    listed = ids_of(content["images"])
    captions: dict[Id, list[str]] = defaultdict(list)
    for position, item in enumerate(content["annotations"]):
        image, caption = as_id(item, "image_id"), as_caption(item)
        where = annotation_place(file, position, item)
        if image is None or caption is None:
            what = "expected image_id (a number or text) and caption (text)"
            findings.add(BROKEN_LINE, where, what)
        elif image not in listed:
            findings.add(BROKEN_LINE, where, _unlisted(image))
        else:
            captions[image].append(caption)
    return captions


def _images(items: list[object], file: str, findings: Findings) -> dict[Id, tuple[str, str]]:
    """By id the place and the name of the file.

    Of an image that is listed again the first counts. Where one id names several files, none
    does: whose the captions and objects are cannot be told.
    """
    images: dict[Id, tuple[str, str]] = {}
    unclear: set[Id] = set()
    for position, item in enumerate(items):
        where = f"{file}:images[{position}]"
        number, name = as_id(item, "id"), as_name(item, "file_name")
        if number is None or name is None:
            findings.add(BROKEN_LINE, where, "expected id (a number or text) and file_name (text)")
        elif number not in images:
            images[number] = (where, name)
        else:
            first, other = images[number]
            findings.add(DUPLICATE, where, f"id {number!r} is also in {first}")
            if other != name and number not in unclear:
                unclear.add(number)
                findings.add(DUPLICATE, first, f"id {number!r} names another file in {where}")
    return {number: image for number, image in images.items() if number not in unclear}


def _labels(
    root: Path, file: str, listed: set[Id], findings: Findings
) -> tuple[dict[Id, str], set[str]]:
    """By image the supercategory that fills most of it; all supercategories."""
    path = require_inside(root, root / _ANNOTATIONS / file)
    content = read_lists(path, ("annotations", "categories"), optional=("images",))
    categories = _categories(content["categories"], path)
    listed = listed | ids_of(content["images"])
    areas: dict[Id, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for position, item in enumerate(content["annotations"]):
        image, category, area = as_id(item, "image_id"), as_id(item, "category_id"), as_area(item)
        if image is None or category is None or category not in categories or area is None:
            where = annotation_place(file, position, item)
            findings.add(BROKEN_LINE, where, "expected image_id, a known category_id and area")
        elif image not in listed:
            findings.add(BROKEN_LINE, annotation_place(file, position, item), _unlisted(image))
        else:
            areas[image][categories[category]] += area
    labels = {
        image: min(filled, key=lambda name: (-filled[name], name))
        for image, filled in areas.items()
    }
    return labels, set(categories.values())


def _unlisted(image: Id) -> str:
    return f"no entry of 'images' has the id {reprlib.repr(image)}"


def _categories(items: list[object], path: Path) -> dict[Id, str]:
    """By id the supercategory."""
    categories: dict[Id, str] = {}
    for position, item in enumerate(items):
        number, name = as_id(item, "id"), as_name(item, "supercategory")
        if number is None or name is None:
            raise DataError(
                f"'{path}': categories[{position}] needs an id (a number or text) and a "
                "supercategory (text)."
            )
        if categories.setdefault(number, printable(name)) != printable(name):
            raise DataError(
                f"'{path}': categories[{position}] gives the id {number!r} another supercategory "
                f"('{printable(name)}') than before ('{categories[number]}')."
            )
    return categories

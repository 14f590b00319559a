"""COCO captions, each image labelled with the supercategory that fills most of it."""

import json
import reprlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.classes import named_classes
from fedmvp_flwr.data.reading.entries import Entry, LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.files import find_images, require_folder, require_inside
from fedmvp_flwr.data.reading.findings import BROKEN_LINE, DUPLICATE, UNLABELLED, Findings

_ANNOTATIONS, _CAPTIONS, _INSTANCES = "annotations", "captions_", "instances_"

_Id = int | str  # 3.0, which pandas writes beside empty cells, is 3
_Name = Annotated[str, Field(pattern=r"\S")]


class _Listed(BaseModel):
    id: _Id


class _Image(_Listed):
    file_name: _Name


class _Caption(BaseModel):
    image_id: _Id
    caption: str | None


class _Object(BaseModel):
    image_id: _Id
    category_id: _Id
    area: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Category(_Listed):
    supercategory: _Name


_M = TypeVar("_M", bound=BaseModel)


def load_coco(path: str, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read `annotations/captions_NAME.json`, `instances_NAME.json` and the images in `NAME/`.

    The split is called NAME without its year: `train`, `val`. The label of an image is the
    supercategory with the largest total area of its objects, the first by name in a tie; images
    without any object are left out and counted. A caption of an image that its file does not list
    is a bad sample, and so is an object of an image that neither file lists.

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
        content = _read(root, file.name, ("images", "annotations"))
        listed = _ids(content["images"])
        labels, names = _labels(root, f"{_INSTANCES}{name}.json", listed, findings)
        captions: dict[_Id, list[str]] = defaultdict(list)
        expected = "expected image_id (a number or text) and caption (text)"
        for _, caption in _annotations(_Caption, content, file.name, listed, expected, findings):
            captions[caption.image_id].append(caption.caption or "")
        found = []
        for number, (where, image) in _images(content["images"], file.name, findings).items():
            if number in labels:
                found.append((number, where, f"{name}/{image}"))
            else:
                findings.note(UNLABELLED)
        images = find_images(root, [(where, key) for _, where, key in found], findings)
        entries += [
            Entry(
                where,
                printable(key),
                labels[number],
                image,
                tuple(captions.get(number, ())),
                name.rstrip("0123456789"),
            )
            for (number, where, key), (image, usable) in zip(found, images, strict=True)
            if usable
        ]
        classes |= names
    return build_dataset(entries, data, findings, named_classes(sorted(classes)))


def _read(root: Path, file: str, lists: Sequence[str]) -> dict[str, Any]:
    """Read a file that has these lists."""
    path = require_inside(root, root / _ANNOTATIONS / file)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}' is no JSON ({error}).") from error
    own = content if isinstance(content, dict) else {}
    missing = [key for key in lists if not isinstance(own.get(key), list)]
    if missing:
        raise DataError(f"'{path}' lacks the lists {missing}.")
    return own


def _valid(model: type[_M], item: object) -> _M | None:
    try:
        return model.model_validate(item)
    except ValidationError:
        return None


def _ids(items: object) -> set[_Id]:
    """The ids of entries; those that have none, or none that can be read, are left out."""
    listed = (_valid(_Listed, item) for item in items) if isinstance(items, list) else ()
    return {item.id for item in listed if item}


def _annotations(
    model: type[_M],
    content: Mapping[str, Any],
    file: str,
    listed: set[_Id],
    expected: str,
    findings: Findings,
) -> Iterator[tuple[str, _M]]:
    """The annotations of listed images, each with its place: "a.json:annotations[3] (id 17)"."""
    for position, item in enumerate(content["annotations"]):
        own = _valid(_Listed, item)
        where = f"{file}:annotations[{position}]" + (f" (id {reprlib.repr(own.id)})" if own else "")
        annotation = _valid(model, item)
        if annotation is None:
            findings.add(BROKEN_LINE, where, expected)
        elif (image := getattr(annotation, "image_id", None)) not in listed:
            what = f"no entry of 'images' has the id {reprlib.repr(image)}"
            findings.add(BROKEN_LINE, where, what)
        else:
            yield where, annotation


def _images(items: list[object], file: str, findings: Findings) -> dict[_Id, tuple[str, str]]:
    """By id the place and the name of the file.

    Where one id names several files, none counts: whose the captions are cannot be told.
    """
    places: dict[_Id, dict[str, str]] = defaultdict(dict)  # by id and name
    for position, item in enumerate(items):
        where = f"{file}:images[{position}]"
        image = _valid(_Image, item)
        if image is None:
            findings.add(BROKEN_LINE, where, "expected id (a number or text) and file_name (text)")
        elif image.file_name in places[image.id]:
            first = places[image.id][image.file_name]
            findings.add(DUPLICATE, where, f"id {image.id!r} is also in {first}")
        else:
            places[image.id][image.file_name] = where
    for number, names in places.items():
        if len(names) > 1:
            for where in names.values():
                findings.add(DUPLICATE, where, f"id {number!r} names {len(names)} files")
    return {
        number: (where, name)
        for number, names in places.items()
        for name, where in names.items()
        if len(names) == 1
    }


def _labels(
    root: Path, file: str, listed: set[_Id], findings: Findings
) -> tuple[dict[_Id, str], set[str]]:
    """By image the supercategory that fills most of it; all supercategories."""
    content = _read(root, file, ("annotations", "categories"))
    categories = _categories(content["categories"], root / _ANNOTATIONS / file)
    listed = listed | _ids(content.get("images"))
    areas: dict[_Id, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    expected = "expected image_id, a known category_id and area"
    for where, item in _annotations(_Object, content, file, listed, expected, findings):
        if item.category_id in categories:
            areas[item.image_id][categories[item.category_id]] += item.area
        else:
            findings.add(BROKEN_LINE, where, expected)
    labels = {
        image: min(filled, key=lambda name: (-filled[name], name))
        for image, filled in areas.items()
    }
    return labels, set(categories.values())


def _categories(items: list[object], path: Path) -> dict[_Id, str]:
    """By id the supercategory."""
    categories: dict[_Id, str] = {}
    for position, item in enumerate(items):
        category = _valid(_Category, item)
        if category is None:
            raise DataError(
                f"'{path}': categories[{position}] needs an id (a number or text) and a "
                "supercategory (text)."
            )
        name = printable(category.supercategory)
        if categories.setdefault(category.id, name) != name:
            raise DataError(
                f"'{path}': categories[{position}] gives the id {category.id!r} another "
                f"supercategory ('{name}') than before ('{categories[category.id]}')."
            )
    return categories

"""Make a small data set in a layout that FedMVP reads, to try the commands of docs/data.md with.

Purpose: see a layout and a run on it before you have the real archive at hand.
Command: python -m examples.miniature folder data/shop
         (or hf, cub, flowers, coco, flickr30k, fashion instead of folder)
Time:    seconds.

The pictures are drawn flowers of five invented species (of the embedded data set), with texts.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.sources.flora import load_flora

SPECIES = 5
PER_SPECIES = {"train": 12, "test": 4, "public": 8}
_HOLES_EVERY = 4  # of the folder's training samples: one without image, one without text
_CAPTIONS = 10


@dataclass(frozen=True)
class Item:
    """One sample on its way into a layout.

    Attributes:
        number: from 1.
        sample: the drawn sample.
        species: number of its class, from 0.
        name: of its class.
        split: train, test or public.
    """

    number: int
    sample: Sample
    species: int
    name: str
    split: str

    def save(self, path: Path) -> None:
        """Write the image."""
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.sample.image is not None  # drawn samples are whole
        self.sample.image.load().save(path)

    def captions(self) -> list[str]:
        """Ten texts, as the benchmarks have them."""
        openings = ("", "a picture of ", "this is ", "here is ", "one can see ")
        text = self.sample.text or ""
        return [openings[i % len(openings)] + text for i in range(_CAPTIONS)]


def draw() -> list[Item]:
    """Every sample of all splits."""
    species = len(load_flora(0, 1, 1).class_names)
    flora = load_flora(0, species * sum(PER_SPECIES.values()), 1)
    left = {
        label: [s for s in flora.splits["train"] if s.label == label] for label in range(SPECIES)
    }
    drawn = [
        (left[label].pop(), label, split)
        for split, count in PER_SPECIES.items()
        for _ in range(count)
        for label in range(SPECIES)
    ]
    return [
        Item(number, sample, label, flora.class_names[label], split)
        for number, (sample, label, split) in enumerate(drawn, 1)
    ]


def _rows(items: Sequence[Item], image: str) -> list[dict[str, Any]]:
    """Rows of a table, some with real holes in the training split."""
    rows = []
    for item in items:
        row = {"id": f"p{item.number}", image: f"images/{item.number}.png"}
        row |= {"text": item.sample.text or "", "label": item.name, "split": item.split}
        row["brand"] = ("north", "south", "east", "west", "coast")[item.number % 5]
        if item.split == "train" and item.number % _HOLES_EVERY == 0:
            row[image] = None
        elif item.split == "train" and item.number % _HOLES_EVERY == 1:
            row["text"] = None
        rows.append(row)
    return rows


def folder(root: Path, items: Sequence[Item]) -> None:
    """`folder:`, with real holes, a public split and an owner for each sample."""
    rows = _rows(items, "file_name")
    for item, row in zip(items, rows, strict=True):
        if row["file_name"]:
            item.save(root / row["file_name"])
    _write(root / "metadata.jsonl", [json.dumps(row, ensure_ascii=False) for row in rows])
    train = [row for row in rows if row["split"] == "train"]
    owners = [f"{row['id']},{place % 5}" for place, row in enumerate(train)]
    _write(root.parent / "owners.csv", ["key,client", *owners])
    flags = [f"{row['id']},{int(row['file_name'] is not None)},1" for row in rows]
    _write(root.parent / "mask.csv", ["key,image,text", *flags])


def hf(root: Path, items: Sequence[Item]) -> None:
    """`hf:`, as `save_to_disk` writes it."""
    from datasets import Dataset, DatasetDict, Image

    splits = {}
    with TemporaryDirectory() as images:
        for split in PER_SPECIES:
            own = [item for item in items if item.split == split]
            rows = _rows(own, "image")
            for item, row in zip(own, rows, strict=True):
                if row["image"]:
                    row["image"] = str(Path(images) / row["image"])
                    item.save(Path(row["image"]))
                del row["split"]
            splits[split] = Dataset.from_list(rows).cast_column("image", Image())
        DatasetDict(splits).save_to_disk(str(root))


def cub(root: Path, items: Sequence[Item]) -> None:
    """`cub:`, the archive's four tables, images and captions."""
    tables: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    names: dict[int, str] = {}
    for item in items:
        species = f"{item.species + 1:03d}.{item.name.replace(' ', '_')}"
        name = f"{species}/bird_{item.number:04d}"
        names[item.species + 1] = species
        item.save(root / "images" / f"{name}.jpg")
        _write(root / "text_c10" / f"{name}.txt", item.captions())
        tables["images"].append(f"{item.number} {name}.jpg")
        tables["image_class_labels"].append(f"{item.number} {item.species + 1}")
        tables["train_test_split"].append(f"{item.number} {int(item.split != 'test')}")
    tables["classes"] = [f"{number} {name}" for number, name in sorted(names.items())]
    for table, lines in tables.items():
        _write(root / f"{table}.txt", lines)


def flowers(root: Path, items: Sequence[Item]) -> None:
    """`flowers:`, with the two MATLAB files."""
    import numpy as np
    from scipy.io import savemat

    for item in items:
        image = f"image_{item.number:05d}"
        item.save(root / "jpg" / f"{image}.jpg")
        species = f"class_{item.species + 1:05d}"
        _write(root / "text_c10" / species / f"{image}.txt", item.captions())
    labels = np.array([[item.species + 1 for item in items]], dtype=np.uint8)
    savemat(root / "imagelabels.mat", {"labels": labels})
    keys = {"train": "trnid", "public": "valid", "test": "tstid"}
    parts = {
        key: np.array([[item.number for item in items if item.split == split]])
        for split, key in keys.items()
    }
    savemat(root / "setid.mat", parts)


def coco(root: Path, items: Sequence[Item]) -> None:
    """`coco:`, captions and instances of two splits."""
    names = {item.species + 1: item.name for item in items}
    categories = [{"id": i, "name": name, "supercategory": name} for i, name in names.items()]
    for split, name in (("train", "train2017"), ("test", "val2017")):
        images, captions, objects = [], [], []
        for item in (item for item in items if item.split == split):
            file = f"{item.number:012d}.jpg"
            item.save(root / name / file)
            images.append({"id": item.number, "file_name": file})
            captions += [{"image_id": item.number, "caption": text} for text in item.captions()[:5]]
            objects.append({"image_id": item.number, "category_id": item.species + 1, "area": 1.0})
        tables = {
            "captions": {"images": images, "annotations": captions},
            "instances": {"annotations": objects, "categories": categories},
        }
        for table, content in tables.items():
            _write(root / "annotations" / f"{table}_{name}.json", [json.dumps(content)])


def flickr30k(root: Path, items: Sequence[Item]) -> None:
    """`flickr30k:`, one CSV with five comments for each image, a label and a split."""
    lines = ["image_name| comment_number| comment| label| split"]
    for item in items:
        item.save(root / "flickr30k_images" / f"{item.number}.jpg")
        lines += [
            f"{item.number}.jpg| {place}| {text} .| {item.name}| {item.split}"
            for place, text in enumerate(item.captions()[:5])
        ]
    _write(root / "results.csv", lines)


def fashion(root: Path, items: Sequence[Item]) -> None:
    """`fashion:`, one JSON file for each product and a table of all."""
    lines = ["id,articleType,productDisplayName,split"]
    for item in items:
        item.save(root / "images" / f"{item.number}.jpg")
        lines.append(f"{item.number},{item.name},The {item.name},{item.split}")
        text = {"description": {"value": f"<p>{item.sample.text}</p>"}}
        product = {"productDescriptors": text, "articleType": {"typeName": item.name}}
        _write(root / "styles" / f"{item.number}.json", [json.dumps({"data": product})])
    _write(root / "styles.csv", lines)


LAYOUTS: dict[str, Callable[[Path, Sequence[Item]], None]] = {
    "folder": folder,
    "hf": hf,
    "cub": cub,
    "flowers": flowers,
    "coco": coco,
    "flickr30k": flickr30k,
    "fashion": fashion,
}


def make(layout: str, target: Path) -> None:
    """Write a miniature data set into a folder.

    Args:
        layout: one of `LAYOUTS`.
        target: absent or empty.

    Raises:
        DataError: the folder holds something already.
    """
    if target.exists() and any(target.iterdir()):
        raise DataError(f"{target} is not empty. Name another folder, or empty it.")
    LAYOUTS[layout](target, draw())


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main() -> None:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layout", choices=list(LAYOUTS))
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    make(arguments.layout, arguments.folder.expanduser().absolute())


if __name__ == "__main__":
    main()

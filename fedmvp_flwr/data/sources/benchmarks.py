"""What CUB and Oxford Flowers share: the captions of Reed et al. (2016), and the paper's split.

The ten captions of an image come as `text_c10/CLASS/IMAGE.txt`, one a line.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TEST, TRAIN
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.classes import Classes
from fedmvp_flwr.data.reading.entries import Entry, LoadedDataset, build_dataset
from fedmvp_flwr.data.reading.files import find_images, read_own, require_inside
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.reading.splits import hold_out, require_both

FOLDER = "text_c10"
_EMPTY = " (which has no CLASS/IMAGE.txt)"


def build_benchmark(
    root: Path,
    found: Sequence[tuple[Entry, str]],
    captions: Sequence[str],
    paper_test_share: Fraction,
    data: DataSettings,
    findings: Findings,
    classes: Classes,
) -> LoadedDataset:
    """Find images and captions, and build the data set with the split that is asked for.

    Args:
        root: the resolved folder of the archive.
        found: entries without image and texts, each with the name of its image file.
        captions: folders, relative to `root`, that may hold the captions, too.
        paper_test_share: what the paper held out. Which samples was not published; with
            `benchmark-split='paper'` the sizes alone agree.
        data: split, captions, and what to do with bad samples.
        findings: what the source found so far.
        classes: of the archive.

    Raises:
        DataError: no captions are found; bad samples; so few are left that none is held out.
    """
    texts = _caption_files(root, [(entry.key, image) for entry, image in found], captions)
    images = find_images(root, [(entry.where, image) for entry, image in found], findings)
    entries = []
    for (entry, name), (image, usable) in zip(found, images, strict=True):
        if usable and (lines := _read(texts.get(name), root, findings)) is not None:
            entries.append(replace(entry, image=image, texts=lines))
    dataset = build_dataset(entries, data, findings, classes)
    if data.benchmark_split == "official":
        return dataset
    pooled = [sample for samples in dataset.splits.values() for sample in samples]
    pooled.sort(key=lambda sample: sample.key)
    train, test = hold_out(pooled, float(paper_test_share), data.data_seed)
    remedy = (
        f"benchmark-split='paper' holds out {float(paper_test_share):.1%} of the {len(pooled)} "
        "usable samples. Complete the data set, or set benchmark-split='official'."
    )
    splits = require_both({TRAIN: train, TEST: test}, findings.source, remedy)
    return replace(dataset, splits=splits)


def _caption_files(
    root: Path, images: Sequence[tuple[str, str]], extra: Sequence[str]
) -> dict[str, Path]:
    """The caption file of each image that has one.

    Args:
        root: resolved folder of the data set; the captions lie in it or beside it.
        images: key and file name of each.
        extra: further folders, relative to `root`.

    Raises:
        DataError: no captions are found, or their folder is a link that leads out; names the
            places. Or only the class could tell whose captions a file has, and it does not.
    """
    inside = [root / FOLDER, *(root / name / FOLDER for name in extra)]
    beside = root.parent / FOLDER
    for place in (*inside, beside):
        if not place.is_dir():
            continue
        require_inside(root.parent if place == beside else root, place)
        files = sorted(place.glob("*/*.txt"))
        if files:
            return _by_image(files, dict(images))
    places = [f"{place}{_EMPTY if place.is_dir() else ''}" for place in (*inside, beside)]
    raise DataError(
        f"The captions of Reed et al. are not in {' or '.join(places)}. Unpack their "
        f"archive so that {inside[0]}/CLASS/IMAGE.txt is there."
    )


def _by_image(files: Sequence[Path], images: dict[str, str]) -> dict[str, Path]:
    """By the name of an image its file: CLASS/IMAGE.txt, else IMAGE.txt of any class."""
    by_place = {(path.parent.name, path.stem): path for path in files}
    own: dict[str, Path] = {}
    others: dict[str, list[str]] = defaultdict(list)  # by stem the keys of images without a file
    for key, name in images.items():
        image = PurePosixPath(name)
        if path := by_place.get((image.parent.name, image.stem)):
            own[name] = path
        else:
            others[image.stem].append(key)
    taken = set(own.values())
    free: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        if path not in taken:
            free[path.stem].append(path)
    for stem, keys in others.items():
        paths = free.get(stem, [])
        if len(paths) > 1 or (paths and len(keys) > 1):
            raise DataError(
                f"{' and '.join(map(str, paths))} may be the captions of {' or '.join(keys)}. Move "
                "each file to the folder of its image's class."
            )
        if paths:
            own[images[keys[0]]] = paths[0]
    return own


def _read(path: Path | None, root: Path, findings: Findings) -> tuple[str, ...] | None:
    """The captions of an image: none if it has no file, None if its file is a finding."""
    if path is None:
        return ()
    place = path.parent.parent
    home = root if place.is_relative_to(root) else place.resolve()
    content = read_own(home, path, f"{FOLDER}/{path.parent.name}/{path.name}", findings)
    if content is None:
        return None
    lines = content.decode("utf-8", errors="surrogateescape").splitlines()
    return tuple(line for line in lines if line.strip())

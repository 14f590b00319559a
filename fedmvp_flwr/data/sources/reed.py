"""The ten captions per image that Reed et al. (2016) collected for CUB and Oxford Flowers.

They come as `text_c10/CLASS/IMAGE.txt`, one caption a line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.files import read_own, require_inside
from fedmvp_flwr.data.reading.findings import Findings

FOLDER = "text_c10"
_EMPTY = " (which has no CLASS/IMAGE.txt)"


@dataclass(frozen=True)
class Captions:
    """The captions of a data set.

    Attributes:
        root: the resolved folder that the files must lie in.
        files: by the image's name.
    """

    root: Path
    files: Mapping[str, Path]

    def read(self, image: str, findings: Findings) -> tuple[str, ...] | None:
        """The captions of one image: none if it has no file, None if its file is a finding."""
        path = self.files.get(image)
        if path is None:
            return ()
        content = read_own(self.root, path, f"{FOLDER}/{path.parent.name}/{path.name}", findings)
        if content is None:
            return None
        lines = content.decode("utf-8", errors="surrogateescape").splitlines()
        return tuple(line for line in lines if line.strip())


def find_captions(root: Path, images: Sequence[str], extra: Sequence[str] = ()) -> Captions:
    """Find the caption files of images: CLASS/IMAGE.txt, or IMAGE.txt of any class.

    Args:
        root: resolved folder of the data set; the captions lie in it or beside it.
        images: their names, as "CLASS/IMAGE.jpg"; a folder that names no class does not count.
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
            own = _by_image(files, dict.fromkeys(images))
            return Captions(place.resolve() if place == beside else root, own)
    places = [f"{place}{_EMPTY if place.is_dir() else ''}" for place in (*inside, beside)]
    raise DataError(
        f"The captions of Reed et al. are not in {' or '.join(places)}. Unpack their "
        f"archive so that {inside[0]}/CLASS/IMAGE.txt is there."
    )


def _by_image(files: Sequence[Path], images: Iterable[str]) -> dict[str, Path]:
    """The file of each image that has one."""
    by_place = {(path.parent.name, path.stem): path for path in files}
    places = {image: _place(image) for image in images}
    own = {image: by_place[place] for image, place in places.items() if place in by_place}
    taken = set(own.values())
    free: dict[str, list[Path]] = {}
    for path in files:
        if path not in taken:
            free.setdefault(path.stem, []).append(path)
    first: dict[str, str] = {}
    for image, (_, stem) in places.items():
        if image in own or stem not in free:
            continue
        path, *others = free[stem]
        if others:
            raise DataError(
                f"'{path}' and '{others[0]}' may both be the captions of '{printable(image)}'. "
                "Move them to folders of the images' classes, or remove one."
            )
        other = first.setdefault(stem, image)
        if other != image:
            raise DataError(
                f"'{path}' may be the captions of '{printable(other)}' or of "
                f"'{printable(image)}'. Move it to the folder of the image's class."
            )
        own[image] = path
    return own


def _place(image: str) -> tuple[str, str]:
    """Folder and stem."""
    path = PurePosixPath(image)
    return path.parent.name, path.stem

"""The ten captions per image that Reed et al. (2016) collected for CUB and Oxford Flowers.

They come as `text_c10/CLASS/IMAGE.txt`, one caption a line.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmvp_flwr.data.files import read_own, require_inside
from fedmvp_flwr.data.findings import Findings
from fedmvp_flwr.errors import DataError

FOLDER = "text_c10"
_EMPTY = " (which has no CLASS/IMAGE.txt)"


@dataclass(frozen=True)
class Captions:
    """The captions of a data set.

    Attributes:
        root: the resolved folder that the files must lie in.
        files: by the stem of the image's name.
    """

    root: Path
    files: Mapping[str, Path]

    def read(self, stem: str, findings: Findings) -> tuple[str, ...] | None:
        """The captions of one image: none if it has no file, None if its file is a finding."""
        path = self.files.get(stem)
        if path is None:
            return ()
        content = read_own(self.root, path, f"{FOLDER}/{path.parent.name}/{path.name}", findings)
        if content is None:
            return None
        lines = content.decode("utf-8", errors="surrogateescape").splitlines()
        return tuple(line for line in lines if line.strip())


def find_captions(root: Path, extra: Sequence[str] = ()) -> Captions:
    """Find the caption files.

    Args:
        root: resolved folder of the data set; the captions lie in it or beside it.
        extra: further folders, relative to `root`.

    Raises:
        DataError: no captions are found, or their folder is a link that leads out; names the
            places.
    """
    inside = [root / FOLDER, *(root / name / FOLDER for name in extra)]
    beside = root.parent / FOLDER
    for place in (*inside, beside):
        if not place.is_dir():
            continue
        require_inside(root.parent if place == beside else root, place)
        files = {path.stem: path for path in sorted(place.glob("*/*.txt"))}
        if files:
            return Captions(place.resolve() if place == beside else root, files)
    places = [f"{place}{_EMPTY if place.is_dir() else ''}" for place in (*inside, beside)]
    raise DataError(
        f"The captions of Reed et al. are not in {' or '.join(places)}. Unpack their "
        f"archive so that {inside[0]}/CLASS/IMAGE.txt is there."
    )

"""The ten captions per image that Reed et al. (2016) collected for CUB and Oxford Flowers.

They come as `text_c10/CLASS/IMAGE.txt`, one caption a line.
"""

from collections.abc import Sequence
from pathlib import Path

from fedmvp_flwr.errors import DataError

FOLDER = "text_c10"


def find_captions(root: Path, extra: Sequence[str] = ()) -> dict[str, Path]:
    """Caption files by the stem of the image's name.

    Args:
        root: folder of the data set; the captions lie in it or beside it.
        extra: further folders, relative to `root`.

    Raises:
        DataError: no captions are found; names the places.
    """
    places = [root / FOLDER, *(root / name / FOLDER for name in extra), root.parent / FOLDER]
    for place in places:
        if place.is_dir():
            return {path.stem: path for path in sorted(place.glob("*/*.txt"))}
    raise DataError(
        f"The captions of Reed et al. are not in {' or '.join(map(str, places))}. Unpack their "
        f"archive so that {places[0]}/CLASS/IMAGE.txt is there."
    )


def read_captions(path: Path | None) -> tuple[str, ...]:
    """The captions of one image; none if it has no file."""
    if path is None:
        return ()
    try:
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror}).") from error
    return tuple(line for line in content.splitlines() if line.strip())

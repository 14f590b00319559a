"""Files in a user's folder: found, kept within the folder, and, if they are images, checked."""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.data.reading.cells import printable
from fedmvp_flwr.data.reading.findings import MISSING_FILE, OUTSIDE, Findings
from fedmvp_flwr.data.reading.image_checks import CheckedImage, check_files

_SHOWN = 200  # characters of a name


def require_folder(path: str | Path) -> Path:
    """The resolved folder; raises a DataError if there is none."""
    root = expanded(path)
    if not str(path) or not os.path.isdir(root):  # which also says no to a name that is too long
        raise DataError(
            f"'{path}' is no folder. Give an absolute path, dataset='SOURCE:/path/to/the/folder': "
            "server and clients run in folders of their own."
        )
    _resolved.cache_clear()  # links may have changed since the last data set was read
    return root.resolve()


def require_inside(root: Path, path: Path) -> Path:
    """The path of a table or folder of the data set, which no symbolic link may lead out of.

    Args:
        root: the resolved folder of the data set.
        path: what is to be read, in this folder.

    Raises:
        DataError: its real location is elsewhere; names it.
    """
    try:
        inside = _stays(root, path)
    except OSError as error:
        raise DataError(f"'{path}' cannot be read ({error.strerror or error}).") from error
    if not inside:
        raise DataError(
            f"'{path}' is a symbolic link, or in one, that leads out of '{root}'. Put the file "
            "itself there: only what lies in the folder of the data set is read."
        )
    return path


def is_own_file(root: Path, path: Path, where: str, shown: str, findings: Findings) -> bool:
    """Whether a file of one sample is there, and really in the folder of the data set.

    Args:
        root: the resolved folder.
        path: the file.
        where: what names it.
        shown: how findings call it.
        findings: takes it if it is not there, or elsewhere.
    """
    shown = f"'{printable(shown)}'"
    try:
        if not _stays(root, path):
            findings.add(OUTSIDE, where, shown)
        elif not path.is_file():
            findings.add(MISSING_FILE, where, shown)
        else:
            return True
    except (OSError, ValueError) as error:  # a name that no file can have, a closed folder
        findings.add(MISSING_FILE, where, f"{shown} ({_reason(error)})")
    return False


def read_own(root: Path, path: Path, where: str, findings: Findings) -> bytes | None:
    """Read a file of one sample; None if there was a finding (see `is_own_file`)."""
    if not is_own_file(root, path, where, str(path), findings):
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        findings.add(MISSING_FILE, where, f"'{printable(str(path))}' ({_reason(error)})")
    return None


def find_images(
    root: Path, places: Sequence[tuple[str, str | None]], findings: Findings
) -> list[tuple[CheckedImage | None, bool]]:
    """Find and check image files that must lie in a folder.

    Args:
        root: the resolved folder.
        places: where each name was read, and the name relative to `root`; None: no image.
        findings: takes missing files and those outside of the folder.

    Returns:
        For each place the image, or None, and whether the sample can be used. Images that cannot
        be read or decoded are still returned, with their problem.
    """
    usable = [name is None or _is_inside(root, name, where, findings) for where, name in places]
    found = {name for (_, name), good in zip(places, usable, strict=True) if good and name}
    names = sorted(found)
    images = dict(zip(names, check_files(root, names, findings.cache), strict=True))
    return [(images.get(name or ""), good) for (_, name), good in zip(places, usable, strict=True)]


def _is_inside(root: Path, name: str, where: str, findings: Findings) -> bool:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        findings.add(OUTSIDE, where, f"'{printable(name)}'")
        return False
    return is_own_file(root, root / path, where, name[:_SHOWN], findings)


def _stays(root: Path, path: Path) -> bool:
    """Whether no symbolic link leads out of the folder."""
    if path.is_symlink():
        return _real(path).is_relative_to(root)
    return _resolved(path.parent).is_relative_to(root)


@lru_cache(maxsize=256)
def _resolved(folder: Path) -> Path:
    return _real(folder)


def _real(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 raise it where links go in a circle
        raise OSError(str(error)) from error


def _reason(error: OSError | ValueError) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return printable(said or str(error))

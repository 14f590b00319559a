"""Image files in a user's folder: found, kept within the folder, and checked."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data import findings as found
from fedmvp_flwr.data.findings import Findings
from fedmvp_flwr.data.image_checks import check_files
from fedmvp_flwr.data.images import FileImage
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.node import cache_folder


def require_folder(path: str | Path) -> Path:
    """The resolved folder; raises a DataError if there is none."""
    root = Path(path).expanduser()
    if not str(path) or not root.is_dir():
        raise DataError(
            f"'{path}' is no folder. Give an absolute path, dataset='SOURCE:/path/to/the/folder': "
            "server and clients run in folders of their own."
        )
    return root.resolve()


def find_images(
    root: Path,
    places: Sequence[tuple[str, str | None]],
    config: RunConfig,
    findings: Findings,
) -> list[tuple[FileImage | None, bool]]:
    """Find and check image files that must lie in a folder.

    Args:
        root: the resolved folder.
        places: where each name was read, and the name relative to `root`; None: no image.
        config: names the cache folder, which keeps what the check found.
        findings: takes missing files and those outside of the folder.

    Returns:
        For each place the image, or None, and whether the sample can be used. Images that cannot
        be decoded are still returned, with their problem.
    """
    usable = [name is None or _is_inside(root, name, where, findings) for where, name in places]
    checked = [
        name for (_, name), good in zip(places, usable, strict=True) if good and name is not None
    ]
    names = list(dict.fromkeys(checked))
    checks = dict(zip(names, check_files(root, names, cache_folder(config)), strict=True))
    return [
        (FileImage(root / name, name, checks[name]) if good and name is not None else None, good)
        for (_, name), good in zip(places, usable, strict=True)
    ]


def _is_inside(root: Path, name: str, where: str, findings: Findings) -> bool:
    path = Path(name)
    try:
        if path.is_absolute() or ".." in path.parts or not _stays(root, root / path):
            findings.add(found.OUTSIDE, where, f"'{name}'")
        elif not (root / path).is_file():
            findings.add(found.MISSING_FILE, where, f"'{name}'")
        else:
            return True
    except (OSError, ValueError) as error:  # a name that no file can have
        findings.add(found.MISSING_FILE, where, f"'{name[:80]}' ({error})")
    return False


def _stays(root: Path, path: Path) -> bool:
    """Whether no symbolic link leads out of the folder."""
    if path.is_symlink():
        return path.resolve().is_relative_to(root)
    return _resolved(path.parent).is_relative_to(root)


@lru_cache(maxsize=256)
def _resolved(folder: Path) -> Path:
    return folder.resolve()

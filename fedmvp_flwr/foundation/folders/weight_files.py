"""Safetensors files: whether each is whole, what it names, which ones split weights consist of.

Nothing of the weights themselves is read, so that this takes no time for files of any size.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.json_files import json_object

WEIGHTS = "*.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_SUFFIX = ".safetensors"
_CONFIG = "config.json"
_OWN_NAME = "transformers_weights"  # where a config names another file than the usual one
_LENGTH_BYTES = 8  # in front of the header: its length, little-endian
_LFS_BEGINNING = b"version "


def shard_names(index: Path) -> set[str]:
    """Return the names of the files that an index of split weights lists.

    Args:
        index: "*.safetensors.index.json".

    Raises:
        ModelError: it is no such index, or names anything but safetensors files beside it, which
            a library would unpickle; names the file.
    """
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(_no_index(index, repr(error))) from error
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(_no_index(index, "no file names"))
    if wrong := sorted(name for name in names if not _is_plain(name, _SUFFIX)):
        raise ModelError(
            f"{index}: names {wrong[0]!r}; expected names of {_SUFFIX} files in the same folder. "
            "Other formats are not loaded, because they may run code: use the index of the "
            "safetensors weights."
        )
    return names


def require_safetensors(folder: Path) -> None:
    """Refuse a folder by whose own files a library would load other weights than safetensors.

    Args:
        folder: of a model, or of a pipeline with a folder for each part.

    Raises:
        ModelError: an index of split weights or a config names such a file.
    """
    for place in (folder, *sorted(path for path in folder.glob("*") if path.is_dir())):
        for index in sorted(place.glob(INDEX)):
            shard_names(index)
        named = json_object(place / _CONFIG).get(_OWN_NAME)
        if named is not None and not _is_plain(named, (_SUFFIX, f"{_SUFFIX}.index.json")):
            raise ModelError(
                f"{place / _CONFIG}: '{_OWN_NAME}' is {named!r}; expected the name of a {_SUFFIX} "
                "file or of its index in the same folder. Take it out, or convert the weights."
            )


def tensor_names(folder: Path) -> set[str]:
    """Return the names of the tensors in a folder of one model, by the headers of its files.

    Args:
        folder: with one safetensors file, or with split ones and their index.

    Returns:
        None of them where it is not clear which of several files a library takes.
    """
    files, indices = sorted(folder.glob(WEIGHTS)), list(folder.glob(INDEX))
    split = len(indices) == 1 and shard_names(indices[0]) == {path.name for path in files}
    if not split and (len(files) != 1 or indices):
        return set()
    names: set[str] = set()
    for path in files:
        with safe_open(path, framework="numpy") as file:
            names.update(file.keys())
    return names


def damage(path: Path) -> str | None:
    """Say what is wrong with a safetensors file, by its header and its size.

    Args:
        path: the file.

    Returns:
        The end of a sentence that begins with the file's name; None if the file is whole.
    """
    try:
        with safe_open(path, framework="numpy"):
            return None
    except SafetensorError as error:
        reason = str(error)
    except OSError as error:
        return f"cannot be read ({error})"
    size = path.stat().st_size
    with path.open("rb") as file:
        beginning = file.read(_LENGTH_BYTES)
        length = int.from_bytes(beginning, "little")
        if beginning == _LFS_BEGINNING:
            return "is a pointer of Git LFS, not the weights (git lfs pull fetches them)"
        if length > size - _LENGTH_BYTES:
            return f"ends after {size:,} bytes, within its header: it is cut or no safetensors file"
        expected = _declared_bytes(file.read(length))
    if expected is None or _LENGTH_BYTES + length + expected == size:
        return f"has a damaged header ({reason})"
    return f"has {size:,} bytes, its header tells {_LENGTH_BYTES + length + expected:,}"


def _declared_bytes(header: bytes) -> int | None:
    """Bytes of the tensors that a header lists, None if it cannot be read."""
    try:
        entries = json.loads(header)
        return max(
            (int(e["data_offsets"][1]) for name, e in entries.items() if name != "__metadata__"),
            default=0,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _is_plain(name: object, endings: str | tuple[str, ...]) -> bool:
    """Whether this is the bare name of a file that ends so: nothing of another folder."""
    return isinstance(name, str) and not set("/\\:") & set(name) and name.endswith(endings)


def _no_index(index: Path, found: str) -> str:
    return (
        f'{index}: expected the list of split weights, {{"weight_map": {{"tensor": "file"}}}} in '
        f"JSON: {found}. Fetch or copy this file again."
    )

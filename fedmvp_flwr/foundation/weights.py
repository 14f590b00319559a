"""Safetensors files: whether each is whole, and which files split weights consist of.

Nothing of the weights themselves is read, so that this takes no time for files of any size.
"""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fedmvp_flwr.errors import ModelError

WEIGHTS = "*.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_LENGTH_BYTES = 8  # in front of the header: its length, little-endian
_LFS_BEGINNING = b"version "


def shard_names(index: Path) -> set[str]:
    """Return the names of the files that an index of split weights lists.

    Args:
        index: "*.safetensors.index.json".

    Raises:
        ModelError: it is no such index; names the file.
    """
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(_no_index(index, repr(error))) from error
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(_no_index(index, "no file names"))
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


def _no_index(index: Path, found: str) -> str:
    return (
        f'{index}: expected the list of split weights, {{"weight_map": {{"tensor": "file"}}}} in '
        f"JSON: {found}. Fetch or copy this file again."
    )

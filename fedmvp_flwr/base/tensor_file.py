"""Named tensors and JSON metadata in one safetensors file, atomic and checked."""

import errno
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.files import atomic_file

_METADATA = "fedmvp"

_FORMAT = 1


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and JSON metadata to one safetensors file, atomically, without a copy of them.

    Raises:
        OSError: it cannot be written, for example on a full disk.
    """
    header = {_METADATA: json.dumps({**metadata, "format": _FORMAT}, sort_keys=True)}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        try:
            save_file(contiguous, temporary, metadata=header)
        except SafetensorError as error:  # the library's own kind of an error of the system
            raise OSError(errno.EIO, str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `save_tensors`.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another origin.
    """
    if not path.is_file():
        raise CheckpointError(f"No file {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors: dict[str, torch.Tensor] = {
                name: file.get_tensor(name) for name in list(file.keys())
            }
        metadata = json.loads(header[_METADATA])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not from this project: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise CheckpointError(f"{path} has another format than {_FORMAT}: not of this version.")
    return tensors, metadata


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)  # no copy
    return digest.hexdigest()

"""Names a frozen model by its content, without loading it.

Everything in the feature store is keyed by this name: other weights, another tokenizer or a
changed adapter give another name, and a model that moved to another folder keeps its name.
"""

import functools
import hashlib
from pathlib import Path

from fedmvp_flwr.errors import ModelError
from fedmvp_flwr.foundation.specs import ModelSpec

_RELEVANT = {".json", ".safetensors", ".txt", ".model"}  # configs, weights, vocabularies
_WEIGHTS = ".safetensors"
_CHUNK_BYTES = 1 << 20


def model_fingerprint(spec: ModelSpec) -> str:
    """Return the hex SHA-256 of the model's relevant files and of its adapter's version.

    Raises:
        ModelError: the folder holds no safetensors weights, or a file cannot be read.
    """
    return _combine(f"{spec.library}/{spec.adapter.version}", spec.folder)


def space_fingerprint(spec: ModelSpec) -> str | None:
    """Return the name of the pooled embeddings' space, None if no other encoder shares it.

    Two encoders with equal names can be compared by cosine.
    """
    return _combine(spec.library, spec.folder) if spec.adapter.joint_space else None


def _combine(prefix: str, folder: Path) -> str:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _RELEVANT and path.is_file() and not path.name.startswith(".")
    ]
    if not any(path.suffix == _WEIGHTS for path in files):
        raise ModelError(
            f"{folder} holds no {_WEIGHTS} weights. Convert the model to safetensors; other "
            "formats are not loaded, because they may run code."
        )
    combined = hashlib.sha256(prefix.encode())
    try:
        for path in files:
            status = path.stat()
            digest = _file_digest(path, status.st_size, status.st_mtime_ns)
            combined.update(f"\n{path.relative_to(folder).as_posix()}\x1f{digest}".encode())
    except OSError as error:
        raise ModelError(f"The model file {error.filename} cannot be read: {error}") from error
    return combined.hexdigest()


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Hash one file; size and modification time only serve the cache."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()

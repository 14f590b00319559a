"""Names a frozen model by its content, without loading it.

Everything in the feature store is keyed by this name: other weights, another tokenizer or a
changed adapter give another name, and a model that moved to another folder keeps its name. A hub
model is named by its repository, the commit that it was resolved to, and which of its files count.
"""

import functools
import hashlib
from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.files import files_below
from fedmvp_flwr.foundation.folders.hub import is_fetched, revision_of
from fedmvp_flwr.foundation.spec import ModelSpec

# Configs, weights, vocabularies, prompts.
_RELEVANT = {".json", ".safetensors", ".txt", ".model", ".bpe", ".jinja"}
_WEIGHTS = ".safetensors"


def model_fingerprint(spec: ModelSpec) -> str:
    """Return the hex SHA-256 of the model's content and of its adapter's version.

    Raises:
        ModelError: the folder holds no safetensors weights, or a file cannot be read.
    """
    prefix = f"{spec.library_name}/{spec.library.version}"
    return _combine(f"{prefix}/{spec.architecture}" if spec.architecture else prefix, spec)


def space_fingerprint(spec: ModelSpec) -> str | None:
    """Return the name of the pooled embeddings' space, None if no other encoder shares it.

    Two encoders with equal names can be compared by cosine.
    """
    return _combine(f"{spec.library_name}{spec.architecture}", spec) if spec.joint else None


def model_files(spec: ModelSpec) -> list[Path]:
    """Return the model's configs, weights and vocabularies, sorted.

    Raises:
        ModelError: there are no safetensors weights among them.
    """
    files = [
        path
        for path in files_below(spec.folder)
        if path.suffix in _RELEVANT and not path.name.startswith(".")
    ]
    if spec.weights is not None:  # other weights beside the named ones have no part in it
        chosen = spec.folder / spec.weights
        files = [path for path in files if path.suffix != _WEIGHTS or path == chosen]
    if not any(path.suffix == _WEIGHTS for path in files):
        raise ModelError(
            f"{spec.folder} holds no {_WEIGHTS} weights. Convert the model to safetensors; other "
            "formats are not loaded, because they may run code."
        )
    return files


def model_bytes(spec: ModelSpec) -> int:
    """Return the size of the model's files."""
    return sum(path.stat().st_size for path in model_files(spec))


def _combine(prefix: str, spec: ModelSpec) -> str:
    combined = hashlib.sha256(prefix.encode())
    revision = revision_of(spec.folder)
    try:
        files = model_files(spec)
        if revision is not None:  # it says what the files hold, but not which are there and named
            combined.update("\n".join(("", revision, *_hub_names(files, spec))).encode())
            return combined.hexdigest()
        for path in files:
            status = path.stat()
            digest = _file_digest(path, status.st_size, status.st_mtime_ns)
            combined.update(f"\n{path.relative_to(spec.folder).as_posix()}\x1f{digest}".encode())
    except OSError as error:
        raise ModelError(f"The model file {error.filename} cannot be read: {error}") from error
    return combined.hexdigest()


def _hub_names(files: list[Path], spec: ModelSpec) -> list[str]:
    """The names of a hub model's files, sorted.

    What is never fetched (`onnx`, half precision) is left out, unless it is named or there are no
    other weights: a node whose cache was filled by `hf download` has it, another one has not, and
    both have the same model.
    """
    names = sorted(path.relative_to(spec.folder).as_posix() for path in files)
    fetched = spec.library.hub_files
    kept = [name for name in names if name == spec.weights or is_fetched(name, fetched)]
    return kept if any(name.endswith(_WEIGHTS) for name in kept) else names


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, modified_ns: int) -> str:
    """Hash one file; size and modification time only serve the cache."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Models that are named by their place on the Hugging Face hub: "owner/name" or "owner/name@rev".

A name is resolved to the folder of one revision in the hub's own cache; from there on it is a
local model like any other. What is in the cache is used as it is, without a call; what is not is
fetched by the hub's own library, once, unless HF_HUB_OFFLINE forbids it.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.listing import files_below
from fedmvp_flwr.foundation.folders.weight_files import INDEX, WEIGHTS, shard_names

_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_DEFAULT_REVISION = "main"
_TEXT_FILES = ("*.json", "*.txt", "*.model", "*.bpe", "*.jinja")
_WANTED = {
    # A pipeline's parts lie in folders of their own; files beside them are second copies.
    "diffusers": (
        "model_index.json",
        "fedmvp.json",
        "*/*.json",
        "*/*.txt",
        "*/*.model",
        "*/*.safetensors",
    ),
}
_UNWANTED = ("*.fp16.*", "*.non_ema.*", "*.fp16-*", "onnx/*", "openvino/*", "*/openvino_*")


def is_hub_name(text: str) -> bool:
    """Whether a text has the form "owner/name" or "owner/name@revision"."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def hub_folder(
    key: str, name: str, library: str, marker: str, absent: Callable[[Path], list[str]]
) -> Path:
    """Return the folder of a hub model's revision, fetched now if it is not in the cache.

    Args:
        key: the run-config key, for errors.
        name: "owner/name" or "owner/name@revision"; without a revision what the cache holds of
            `main` is used, however old it is.
        library: the library that will load it; decides which files are fetched.
        marker: the file without which the folder is of no use.
        absent: names what else a folder in the cache lacks, by what the folder itself lists.

    Raises:
        ModelError: it is not in the cache and cannot or may not be fetched, or a file of it is
            damaged there; says what to do.
    """
    repository, _, revision = name.partition("@")
    try:
        from huggingface_hub import constants
    except ImportError as error:
        raise ModelError(
            f"{key}: '{name}' is a name on the Hugging Face hub, which needs the package "
            "huggingface_hub: pip install 'fedmvp-flwr[foundation]'."
        ) from error
    cached = _cached(repository, revision or _DEFAULT_REVISION, Path(constants.HF_HUB_CACHE))
    pinned = f" --revision {revision}" if revision else ""
    cache = constants.HF_HUB_CACHE
    lacks = f"is not in the hub's cache {cache} ({marker} and safetensors weights are needed)"
    try:
        if cached and (cached / marker).is_file() and _has_weights(cached):
            if not (gone := absent(cached)):
                return cached
            lacks = f"lacks {', '.join(gone)} in the hub's cache {cache}"
    except ModelError as error:  # the hub's library takes a damaged file for a fetched one
        raise ModelError(
            f"{key}: '{name}' is damaged in the hub's cache. {error} Where there is a network: "
            f"hf download --force-download {repository}{pinned}."
        ) from error
    how = (
        f"Fetch it once where there is a network: hf download {repository}{pinned} (then copy the "
        "cache folder here), or give a local folder: "
        f"{key}='{library}:/absolute/folder'."
    )
    if constants.HF_HUB_OFFLINE:
        raise ModelError(f"{key}: '{name}' {lacks}, and HF_HUB_OFFLINE is set. {how}")
    return _fetch(key, repository, revision, library, how)


def revision_of(folder: Path) -> str | None:
    """Return "owner/name@commit" of a folder in the hub's cache, None for any other folder."""
    if folder.parent.name != "snapshots" or not folder.parents[1].name.startswith("models--"):
        return None
    repository = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
    return f"{repository}@{folder.name}"


def _cached(repository: str, revision: str, cache: Path) -> Path | None:
    """Find a revision in the cache, by its commit or by a branch or tag that points to it."""
    root = cache / f"models--{repository.replace('/', '--')}"
    direct = root / "snapshots" / revision
    if direct.is_dir():
        return direct
    reference = root / "refs" / revision
    if not reference.is_file():
        return None
    folder = root / "snapshots" / reference.read_text(encoding="utf-8").strip()
    return folder if folder.is_dir() else None


def _has_weights(folder: Path) -> bool:
    """Whether there are weights, and every part of those that are split into several files."""
    files = files_below(folder)
    for index in (path for path in files if path.match(INDEX)):
        if not all((index.parent / part).is_file() for part in shard_names(index)):
            return False
    return any(path.match(WEIGHTS) for path in files)


def is_fetched(name: str, library: str) -> bool:
    """Whether a file of a repository is among those that a fetch takes for the library."""
    if any(fnmatchcase(name, pattern) for pattern in _UNWANTED):
        return False
    return any(fnmatchcase(name, pattern) for pattern in _wanted(library))


def _wanted(library: str) -> tuple[str, ...]:
    return _WANTED.get(library, (*_TEXT_FILES, WEIGHTS))


def _fetch(key: str, repository: str, revision: str, library: str, how: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(_wanted(library)),
            ignore_patterns=list(_UNWANTED),
        )
    except Exception as error:  # the hub's, the network's, the disk's
        raise ModelError(
            f"{key}: '{repository}' cannot be fetched from the hub: {type(error).__name__}: "
            f"{error}. {how}"
        ) from error
    return Path(folder)

"""Models that are named by their place on the Hugging Face hub: "owner/name" or "owner/name@rev".

A name is resolved to the folder of one revision in the hub's own cache; from there on it is a
local model like any other. What is in the cache is used as it is, without a call; what is not is
fetched by the hub's own library, once, unless HF_HUB_OFFLINE forbids it.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import WEIGHTS

_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_UNWANTED = ("*.fp16.*", "*.non_ema.*", "*.fp16-*", "onnx/*", "openvino/*", "*/openvino_*")


def is_hub_name(text: str) -> bool:
    """Whether a text has the form "owner/name" or "owner/name@revision"."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def hub_folder(name: str, setting: str, marker: str, files: Sequence[str]) -> Path:
    """Return the folder of a hub model's revision, fetched now if it is not in the cache.

    Args:
        name: without a revision what the cache holds of `main` is used, however old it is.
        setting: the beginning of a spec, "key='library:", for errors.
        marker: the file without which the folder is of no use.
        files: patterns of what is fetched.

    Raises:
        ModelError: it is not in the cache and cannot or may not be fetched; says what to do.
    """
    from huggingface_hub import constants, snapshot_download

    repository, _, revision = name.partition("@")
    reason = "HF_HUB_OFFLINE is set"
    for only_cached in (True,) if constants.HF_HUB_OFFLINE else (True, False):
        try:
            folder = snapshot_download(
                repository,
                revision=revision or None,
                allow_patterns=list(files),
                ignore_patterns=list(_UNWANTED),
                local_files_only=only_cached,
            )
        except Exception as error:  # the hub's, the network's, the disk's
            if not only_cached:
                reason = f"it cannot be fetched: {type(error).__name__}: {error}".rstrip(".")
            continue
        found = Path(folder)
        if (found / marker).is_file() and any(path.is_file() for path in found.rglob(WEIGHTS)):
            return found
        if not only_cached:
            reason = "its repository holds no such files"
    pinned = f" --revision {revision}" if revision else ""
    raise ModelError(
        f"'{name}' is not in the hub's cache {constants.HF_HUB_CACHE} ({marker} and safetensors "
        f"weights are needed), and {reason}. Fetch it once where there is a network: hf download "
        f"{repository}{pinned} (then copy the cache folder here), or give a local folder: "
        f"{setting}/absolute/folder'."
    )


def revision_of(folder: Path) -> str | None:
    """Return "owner/name@commit" of a folder in the hub's cache, None for any other folder."""
    if folder.parent.name != "snapshots" or not folder.parents[1].name.startswith("models--"):
        return None
    repository = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
    return f"{repository}@{folder.name}"


def is_fetched(name: str, files: Sequence[str]) -> bool:
    """Whether a file of a repository is among those that a fetch by these patterns takes."""
    return any(fnmatchcase(name, pattern) for pattern in files) and not any(
        fnmatchcase(name, pattern) for pattern in _UNWANTED
    )

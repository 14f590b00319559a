"""Safetensors files: what a folder would load beside them, and which tensors they name.

Nothing of the weights themselves is read, so that this takes no time for files of any size.
"""

import json
from pathlib import Path

from safetensors import safe_open

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.files import json_object

WEIGHTS = "*.safetensors"
_INDEX = f"{WEIGHTS}.index.json"
_SUFFIX = ".safetensors"
_CONFIG = "config.json"
_OWN_NAME = "transformers_weights"  # where a config names another file than the usual one


def require_safetensors(folder: Path) -> None:
    """Refuse a model or a pipeline by whose files a library would load no safetensors weights.

    Raises:
        ModelError: an index of split weights or a config names such a file.
    """
    for place in (folder, *sorted(path for path in folder.glob("*") if path.is_dir())):
        for index in sorted(place.glob(_INDEX)):
            shard_names(index)
        named = json_object(place / _CONFIG).get(_OWN_NAME)
        if named is not None and not _is_plain(named, (_SUFFIX, f"{_SUFFIX}.index.json")):
            raise ModelError(
                f"{place / _CONFIG}: '{_OWN_NAME}' is {named!r}; expected the name of a {_SUFFIX} "
                "file or of its index in the same folder. Take it out, or convert the weights."
            )


def shard_names(index: Path) -> set[str]:
    """Return the names of the files that an index of split weights lists.

    Raises:
        ModelError: it is no such index, or names anything but safetensors files beside it, which
            a library would unpickle; names the file.
    """
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f'{index}: expected the list of split weights, {{"weight_map": {{"tensor": "file"}}}} '
            f"in JSON: {error!r}. Fetch or copy this file again."
        ) from error
    for name in names:
        if not _is_plain(name, (_SUFFIX,)):
            raise ModelError(
                f"{index}: names {name!r}; expected names of {_SUFFIX} files in the same folder. "
                "Other formats are not loaded, because they may run code: use the index of the "
                "safetensors weights."
            )
    return names


def tensor_names(folder: Path) -> set[str]:
    """Return the names of the tensors in a folder of one model, by the headers of its files.

    None of them where it is not clear which of several files a library takes.
    """
    files, indices = sorted(folder.glob(WEIGHTS)), list(folder.glob(_INDEX))
    split = len(indices) == 1 and shard_names(indices[0]) == {path.name for path in files}
    if not split and (len(files) != 1 or indices):
        return set()
    names: set[str] = set()
    for path in files:
        with safe_open(path, framework="numpy") as file:
            names.update(file.keys())
    return names


def _is_plain(name: object, endings: tuple[str, ...]) -> bool:
    """Whether this is the bare name of a file that ends so: nothing of another folder."""
    return isinstance(name, str) and not set("/\\:") & set(name) and name.endswith(endings)

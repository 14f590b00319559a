"""What a folder in the layout of sentence encoders lists in its modules.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError

MODULES = "modules.json"
_CONFIG = "config.json"
_USUAL_POOLING = "1_Pooling"


def modules_of(folder: Path) -> list[Mapping[str, Any]]:
    """Return the modules of a sentence encoder in their order; none if it is no such folder.

    Raises:
        ModelError: modules.json is malformed.
    """
    path = folder / MODULES
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: expected the modules in JSON: {error!r}") from error
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise ModelError(f'{path}: expected a list of {{"type": ..., "path": ...}} in JSON.')
    return found


def kind_and_path(module: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a module is ("Pooling") and its subfolder ("1_Pooling")."""
    return str(module.get("type", "")).rpartition(".")[2], str(module.get("path", ""))


def pooling_file(folder: Path) -> Path | None:
    """Return the file that says how tokens are pooled; None where the folder says nothing.

    Raises:
        ModelError: modules.json is malformed, or lists a pooling whose file is not there.
    """
    if absent := absent_pooling(folder):
        raise ModelError(
            f"{folder / MODULES} lists the module '{Path(absent[0]).parent.as_posix()}' (Pooling), "
            f"but {folder / absent[0]} is not there: without it nobody knows how the sentence "
            "encoder pools its tokens. Copy the model with its subfolders (cp -r), or fetch it "
            "again."
        )
    path = folder / (_listed_pooling(folder) or f"{_USUAL_POOLING}/{_CONFIG}")
    return path if path.is_file() else None


def absent_pooling(folder: Path) -> list[str]:
    """Name the pooling's file, relative, if modules.json lists the pooling and it is not there.

    Raises:
        ModelError: modules.json is malformed.
    """
    listed = _listed_pooling(folder)
    return [] if listed is None or (folder / listed).is_file() else [listed]


def _listed_pooling(folder: Path) -> str | None:
    places = [path for kind, path in map(kind_and_path, modules_of(folder)) if kind == "Pooling"]
    return (Path(places[-1]) / _CONFIG).as_posix() if places else None

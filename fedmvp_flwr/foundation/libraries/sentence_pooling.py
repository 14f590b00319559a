"""How a text model of transformers pools its tokens, by the layout of sentence encoders."""

import json
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError

CLASS_TOKEN, MEAN = "cls", "mean"
_MODULES = "modules.json"
_USUAL_POOLING = "1_Pooling"
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


def pooling_of(folder: Path) -> str:
    """Return how a text model pools its tokens: over the mean where the folder says nothing.

    Raises:
        ModelError: a sentence encoder pools in another way than over the mean or the class token,
            goes on with a module that is not known here, or lacks the file of its pooling.
    """
    place, listed = _USUAL_POOLING, False
    for module in _modules(folder):
        kind, path = str(module.get("type", "")).rpartition(".")[2], str(module.get("path", ""))
        if kind not in _KNOWN_MODULES:
            raise ModelError(
                f"{folder / _MODULES} lists the module '{path}' ({kind}), which is not computed "
                "here: the embeddings would differ from the sentence encoder's own. Known modules: "
                f"{', '.join(_KNOWN_MODULES)}. Choose a sentence encoder of these."
            )
        if kind == "Pooling":
            place, listed = path, True
    file = folder / place / "config.json"
    if file.is_file():
        return _pooling(file)
    if listed:
        raise ModelError(
            f"{folder / _MODULES} lists the module '{place}' (Pooling), but {file} is not there: "
            "without it nobody knows how the sentence encoder pools its tokens. Copy the model "
            "with its subfolders (cp -r), or fetch it again."
        )
    return MEAN


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / _MODULES
    if not path.is_file():
        return []
    try:
        return [dict(module) for module in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(
            f'{path}: expected a list of {{"type": ..., "path": ...}} in JSON: {error!r}'
        ) from error


def _pooling(path: Path) -> str:
    try:
        modes = json.loads(path.read_text(encoding="utf-8"))
        chosen = [name for name, on in modes.items() if name.startswith("pooling_mode") and on]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: expected the pooling modes in JSON: {error!r}") from error
    for name, pooling in (("cls_token", CLASS_TOKEN), ("mean_tokens", MEAN)):
        if chosen in ([f"pooling_mode_{name}"], [f"pooling_mode:pooling_mode_{name}"]):
            return pooling
    if modes.get("pooling_mode") in (CLASS_TOKEN, MEAN):
        return str(modes["pooling_mode"])
    raise ModelError(f"{path}: only pooling over the mean or the class token is known: {chosen}.")

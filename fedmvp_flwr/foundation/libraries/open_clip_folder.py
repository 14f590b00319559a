"""What an open_clip folder says of its model, and what open_clip says of a name.

`open_clip_config.json` holds the model's parts (`model_cfg`) unless the spec names an
architecture, and the scaling of its images (`preprocess_cfg`).
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.foundation.folders.hub import is_hub_name, revision_of
from fedmvp_flwr.foundation.folders.location import single_weights
from fedmvp_flwr.foundation.spec import ModelSpec

_CONFIG = "open_clip_config.json"
_OWN_WEIGHTS = "open_clip_model.safetensors"  # as open_clip's `push_to_hf_hub` names the file
_PLAIN_NAME = re.compile(r"[\w.-]+")  # "hf-hub:..." and "local-dir:..." are other places


def hub_name(architecture: str, tag: str) -> str:
    """Return the hub name of an architecture's pretrained tag.

    Raises:
        ModelError: open_clip knows no such architecture or tag, or not from the hub.
    """
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    entry = get_pretrained_cfg(architecture, tag)
    if not entry:
        architecture_parts(architecture)
        known = [t for a, t in open_clip.list_pretrained() if a == architecture]
        raise ModelError(f"open_clip knows no pretrained tag '{tag}'{did_you_mean(tag, known)}.")
    repository = str(entry.get("hf_hub", "")).rstrip("/")
    if not is_hub_name(repository):
        raise ModelError(
            f"the weights '{tag}' are not on the hub as safetensors. Fetch and convert them, then "
            f"use 'open_clip:{architecture}:/folder'."
        )
    return repository


def architecture_parts(architecture: str) -> dict[str, Any]:
    """Return the parts of a model that open_clip knows by name.

    Raises:
        ModelError: it knows no such model, or the model has a part from the hub.
    """
    import open_clip

    parts: dict[str, Any] | None = open_clip.get_model_config(architecture)
    if parts is None:
        near = did_you_mean(architecture, open_clip.list_models())
        raise ModelError(f"open_clip knows no model '{architecture}'{near}.")
    _require_own(f"open_clip's model '{architecture}'", parts["vision_cfg"], parts["text_cfg"])
    return parts


def own_parts(folder: Path) -> dict[str, Any]:
    """Return the parts of the model that the folder's config describes.

    Raises:
        ModelError: it describes none, or one with a part from elsewhere.
    """
    parts = _config(folder, "model_cfg")
    _require_own(str(folder / _CONFIG), parts["vision_cfg"], parts["text_cfg"])
    return parts


def scaling_of(folder: Path) -> dict[str, Any]:
    """Return the scaling of the images, without which open_clip would take that of another model.

    Raises:
        ModelError: the config does not say it.
    """
    found = _config(folder, "preprocess_cfg")
    return {
        "image_mean": tuple(found["mean"]),
        "image_std": tuple(found["std"]),
        "image_interpolation": found.get("interpolation"),
        "image_resize_mode": found.get("resize_mode"),
    }


def weights_file(spec: ModelSpec) -> Path:
    """Return the one safetensors file that is loaded; pickles beside it are never looked at.

    Repositories on the hub often hold the same weights for transformers as well: there the file
    of open_clip's own name counts, as it does for open_clip.

    Raises:
        ModelError: there is none, or there are several and none is named.
    """
    own = spec.folder / _OWN_WEIGHTS
    if spec.weights is None and revision_of(spec.folder) is not None and own.is_file():
        return own
    return single_weights(spec.folder, spec.weights)


def _config(folder: Path, part: str) -> dict[str, Any]:
    path = folder / _CONFIG
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))[part])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: expected an object under '{part}' in JSON (docs/models.md): {error!r}"
        ) from error


def _require_own(what: str, vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """Refuse a model that open_clip could make only with a config from the hub or elsewhere."""
    network, language = vision.get("timm_model_name"), text.get("hf_model_name")
    if network and not _PLAIN_NAME.fullmatch(str(network)):
        raise ModelError(
            f"{what}: 'timm_model_name' is {network!r}; expected the plain name of one of timm's "
            "networks: no part of a model is looked for elsewhere. Use another model."
        )
    if language:
        raise ModelError(
            f"{what}: 'hf_model_name' is {language!r}, a text model whose config open_clip would "
            "take from the hub; nothing but a setting may name a model there. Use a model "
            "without it."
        )

"""What an open_clip folder says before its model is loaded, and whether that is enough to load it.

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
from fedmvp_flwr.foundation.folders.completeness import VOCABULARY, none_of
from fedmvp_flwr.foundation.folders.hub import revision_of
from fedmvp_flwr.foundation.folders.location import single_weights
from fedmvp_flwr.foundation.specs import LoadContext
from fedmvp_flwr.foundation.tokens import require_grid, rows_and_columns

_CONFIG = "open_clip_config.json"
_TOKENIZER = "tokenizer_config.json"
_OWN_WEIGHTS = "open_clip_model.safetensors"  # as open_clip's `push_to_hf_hub` names the file
_CHANNELS = 3
_PLAIN_NAME = re.compile(r"[\w.-]+")  # "hf-hub:..." and "local-dir:..." are other places


def check_image_folder(context: LoadContext) -> None:
    """Refuse what the loader would refuse, and a grid finer than a vision transformer's map.

    Raises:
        ModelError: see `check_text_folder`; or the grid is too fine.
    """
    shape = _patches(_checked_parts(context)["vision_cfg"])
    if shape is not None:
        require_grid(*shape, context.config.models.image_grid)


def check_text_folder(context: LoadContext) -> None:
    """Refuse what the loader would refuse of both sides, which it loads together.

    Raises:
        ModelError: the config lacks something, open_clip does not know the architecture, or the
            tokenizer or the weights are not there.
    """
    _checked_parts(context)


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


def has_tokenizer(folder: Path, architecture: str, parts: Mapping[str, Any]) -> bool:
    """Whether the folder's own tokenizer is used with a named architecture, not open_clip's.

    Raises:
        ModelError: the architecture needs a tokenizer that is not there.
    """
    if (folder / _TOKENIZER).is_file():
        return True
    if parts["text_cfg"].get("hf_tokenizer_name"):
        raise ModelError(
            f"{folder} holds no {_TOKENIZER}, which {architecture} needs: put the files of its "
            "tokenizer there."
        )
    return False


def preprocessing_of(folder: Path) -> dict[str, Any]:
    """Return the scaling of the images, without which open_clip would take that of another model.

    Raises:
        ModelError: the config does not say it.
    """
    path = folder / _CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["preprocess_cfg"]
        if len(found["mean"]) == len(found["std"]) == _CHANNELS:
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ModelError(
        f'{path}: expected {{"preprocess_cfg": {{"mean": [r, g, b], "std": [r, g, b]}}}}, the '
        "scaling that the weights were trained with."
    )


def own_parts(folder: Path) -> dict[str, Any]:
    """Return the parts of the model that the folder's config describes.

    Raises:
        ModelError: it describes none, or one with a part from elsewhere, or its tokenizer is not
            there.
    """
    path = folder / _CONFIG
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        text, vision = dict(parts["text_cfg"]), dict(parts["vision_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f'{path}: expected {{"model_cfg": {{"vision_cfg": {{...}}, "text_cfg": {{...}}}}}}: '
            f"{error!r}. Without it name an architecture: 'open_clip:ARCHITECTURE:{folder}'."
        ) from error
    _require_own(str(path), vision, text)
    if text.get("hf_tokenizer_name") and (missing := none_of(folder, "", VOCABULARY)):
        raise ModelError(
            f"{folder} lacks {missing[0]}, the vocabulary of the tokenizer that {_CONFIG} names: "
            "put the files of the tokenizer there."
        )
    return dict(parts)


def weights_file(context: LoadContext) -> Path:
    """Return the one safetensors file that is loaded; pickles beside it are never looked at.

    Repositories on the hub often hold the same weights for transformers as well: there the file
    of open_clip's own name counts, as it does for open_clip.

    Raises:
        ModelError: there is none, or there are several and none is named.
    """
    named = context.weights
    own = context.folder / _OWN_WEIGHTS
    if named is None and revision_of(context.folder) is not None and own.is_file():
        return own
    return single_weights(context.folder, named)


def _checked_parts(context: LoadContext) -> dict[str, Any]:
    if context.architecture:
        preprocessing_of(context.folder)
        parts = architecture_parts(context.architecture)
        has_tokenizer(context.folder, context.architecture, parts)
    else:
        parts = own_parts(context.folder)
    weights_file(context)
    return parts


def _require_own(what: str, vision: Mapping[str, Any], text: Mapping[str, Any]) -> None:
    """Refuse a model that open_clip could make only with a config from the hub or elsewhere.

    Args:
        what: names the config, for errors.
        vision: its image part.
        text: its text part.

    Raises:
        ModelError: one of the parts names such a place.
    """
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


def _patches(vision: Mapping[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of a vision transformer's patches; None of any other network."""
    if vision.get("timm_model_name") or not isinstance(vision.get("layers"), int):
        return None
    size = rows_and_columns(vision.get("image_size"))
    patch = rows_and_columns(vision.get("patch_size"))
    return (size[0] // patch[0], size[1] // patch[1]) if size and patch else None

"""What a transformers folder says before its model is loaded: token map and pooling."""

import json
from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.json_files import json_object
from fedmvp_flwr.foundation.folders.sentence_folder import (
    MODULES,
    kind_and_path,
    modules_of,
    pooling_file,
)
from fedmvp_flwr.foundation.specs import JOINT_TYPES, LoadContext, model_type
from fedmvp_flwr.foundation.tokens import require_grid, rows_and_columns

CLASS_TOKEN, MEAN = "cls", "mean"
_CONFIG = "config.json"
_PREPROCESSING = (("preprocessor_config.json", ""), ("processor_config.json", "image_processor"))
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


def check_image_folder(context: LoadContext) -> None:
    """Refuse a grid that is finer than the map of patches, where the folder tells its size.

    Raises:
        ModelError: the grid is too fine.
    """
    shape = _most_patches(context.folder)
    if shape is not None:
        require_grid(*shape, context.config.models.image_grid)


def check_text_folder(context: LoadContext) -> None:
    """Refuse a sentence encoder that embeds in another way than ours.

    Raises:
        ModelError: see `pooling_of`.
    """
    if model_type(context.folder) not in JOINT_TYPES:  # those pool by themselves
        pooling_of(context.folder)


def pooling_of(folder: Path) -> str:
    """Return how a text model pools its tokens: over the mean where the folder says nothing.

    Raises:
        ModelError: a sentence encoder pools in another way than over the mean or the class token,
            goes on with a module that is not known here, or lacks the file of its pooling.
    """
    for module in modules_of(folder):
        kind, path = kind_and_path(module)
        if kind not in _KNOWN_MODULES:
            raise ModelError(
                f"{folder / MODULES} lists the module '{path}' ({kind}), which is not computed "
                "here: the embeddings would differ from the sentence encoder's own. Known modules: "
                f"{', '.join(_KNOWN_MODULES)}. Choose a sentence encoder of these."
            )
    told = pooling_file(folder)
    return MEAN if told is None else _pooling(told)


def _pooling(path: Path) -> str:
    try:
        modes = json.loads(path.read_text(encoding="utf-8"))
        chosen = [name for name, on in modes.items() if name.startswith("pooling_mode") and on]
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: expected the pooling modes in JSON: {error!r}") from error
    ways = (("pooling_mode_cls_token", CLASS_TOKEN), ("pooling_mode_mean_tokens", MEAN))
    for name, pooling in ways:
        if chosen in ([name], [f"pooling_mode:{name}"]):
            return pooling
    if modes.get("pooling_mode") in (CLASS_TOKEN, MEAN):
        return str(modes["pooling_mode"])
    raise ModelError(f"{path}: only pooling over the mean or the class token is known: {chosen}.")


def _most_patches(folder: Path) -> tuple[int, int] | None:
    """Rows and columns of patches of an image; a network that merges patches has fewer tokens.

    None where the size of the images or of the patches is not told.
    """
    config = json_object(folder / _CONFIG)
    vision = config.get("vision_config", config)
    patch = rows_and_columns(vision.get("patch_size")) if isinstance(vision, dict) else None
    contents = ((json_object(folder / name), key) for name, key in _PREPROCESSING)
    steps = [content.get(key) if key else content for content, key in contents]
    sizes = [_most_pixels(one) for one in steps if one]
    known = [size for size in sizes if size is not None]
    if patch is None or not known or len(known) < len(sizes):
        return None
    return max(size[0] for size in known) // patch[0], max(size[1] for size in known) // patch[1]


def _most_pixels(steps: object) -> tuple[int, int] | None:
    """Height and width of the images that the preprocessing makes, at most; None if it varies."""
    if not isinstance(steps, dict) or steps.get("do_pad"):
        return None
    crops = steps.get("do_center_crop")  # where it is not said, it depends on the class
    sizes = []
    if crops or (crops is None and "crop_size" in steps):
        crop = steps.get("crop_size")
        sizes.append(_sides(crop) or rows_and_columns(crop))
    if not crops:
        sizes.append(None if steps.get("do_resize") is False else _sides(steps.get("size")))
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return None
    return max(size[0] for size in known), max(size[1] for size in known)


def _sides(value: object) -> tuple[int, int] | None:
    """Height and width, where both are told; one number alone may mean the shorter side."""
    if not isinstance(value, dict):
        return None
    return rows_and_columns([value.get("height"), value.get("width")])

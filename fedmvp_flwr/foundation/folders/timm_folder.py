"""What a timm folder says before its network is loaded, and whether that is enough to load it.

Its config.json, in timm's own format, says what the weights alone do not: `architecture` (unless
the spec names it), `num_classes`, `model_args`, and in `pretrained_cfg` the input's size and
scaling.
"""

import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.location import single_weights
from fedmvp_flwr.foundation.specs import LoadContext
from fedmvp_flwr.foundation.tokens import require_grid

_CONFIG = "config.json"
_NEEDED = ("mean", "std", "input_size")
_CHANNELS_LAST = "NHWC"
_MAP_DIMENSIONS = 4  # (N, D, rows, columns)
_INPUT_DIMENSIONS = 3  # (channels, rows, columns)
# Of timm's builder behind `create_model`: they load other weights or make it another kind of model.
_BUILDER_ARGUMENTS = frozenset({"feature_cfg", "feature_cls", "features_only", "out_indices"})


@dataclass(frozen=True)
class TimmFolder:
    """What the folder holds.

    Attributes:
        architecture: timm's name of the network.
        arguments: further ones of `timm.create_model`.
        preprocessing: the config's `pretrained_cfg`.
        weights: the safetensors file.
    """

    architecture: str
    arguments: dict[str, Any]
    preprocessing: dict[str, Any]
    weights: Path


def read_folder(context: LoadContext) -> TimmFolder:
    """Read the config; no network is made.

    Raises:
        ModelError: the config lacks something, or names another architecture than the spec, or
            an argument that loads something, or there is not one file of weights.
    """
    path = context.folder / _CONFIG
    config = _read_config(path)
    architecture = _architecture(path, config, context.architecture)
    arguments = _model_arguments(path, config)
    for name in ("num_classes", "global_pool"):
        if name in config:
            arguments.setdefault(name, config[name])
    weights = single_weights(context.folder, context.weights)
    return TimmFolder(architecture, arguments, dict(config["pretrained_cfg"]), weights)


def check_folder(context: LoadContext) -> None:
    """Refuse what the loader would refuse, and a grid that is finer than the network's last map.

    Raises:
        ModelError: see `read_folder`; or the grid is too fine.
    """
    shape = _map_shape(read_folder(context))
    if shape is not None:
        require_grid(*shape, context.config.models.image_grid)


def feature_maps(model: Any, features: Tensor) -> Tensor:  # noqa: ANN401 - an untyped library's object
    """Arrange a network's features as (N, D, rows, columns), without class tokens.

    Args:
        model: the network.
        features: what its `forward_features` returned.
    """
    if features.dim() == _MAP_DIMENSIONS:
        last = getattr(model, "output_fmt", "NCHW") == _CHANNELS_LAST
        return features.permute(0, 3, 1, 2) if last else features
    patches = features[:, int(getattr(model, "num_prefix_tokens", 0)) :]
    rows, columns = model.patch_embed.grid_size
    maps: Tensor = patches.transpose(1, 2).unflatten(2, (rows, columns))
    return maps


def _map_shape(folder: TimmFolder) -> tuple[int, int] | None:
    """Rows and columns of the last map, from shapes alone: the network is made without numbers.

    None where that does not work: some networks compute with their numbers while they are made.
    """
    import timm

    size = folder.preprocessing["input_size"]
    try:
        with torch.device("meta"), torch.inference_mode():
            model = timm.create_model(folder.architecture, pretrained=False, **folder.arguments)
            maps = feature_maps(model, model.eval().forward_features(torch.empty(1, *size)))
    except Exception:  # whatever the network's own code raises; the loader will meet it as well
        return None
    return int(maps.shape[-2]), int(maps.shape[-1])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        scaling = dict(config["pretrained_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: expected timm's config in JSON with a 'pretrained_cfg': {error!r}"
        ) from error
    missing = [name for name in _NEEDED if name not in scaling]
    if missing:
        raise ModelError(
            f"{path}: 'pretrained_cfg' lacks {', '.join(missing)}; timm would silently take the "
            "values of another model."
        )
    wrong = [name for name in _NEEDED if not _is_triple(scaling[name])]
    if wrong:
        raise ModelError(
            f"{path}: expected three numbers each in 'pretrained_cfg' under {', '.join(wrong)}."
        )
    return dict(config)


def _model_arguments(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the network's own arguments; those of timm's functions could name a pickle."""
    import timm

    arguments = config.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise ModelError(f"{path}: expected an object under 'model_args', found {arguments!r}.")
    of_timm = _BUILDER_ARGUMENTS | set(inspect.signature(timm.create_model).parameters)
    refused = sorted(n for n in arguments if n in of_timm or n.startswith("pretrained"))
    if refused:
        raise ModelError(
            f"{path}: 'model_args' holds {', '.join(refused)}; expected arguments of the network "
            "alone, because the weights come from the folder's .safetensors file. Take it out."
        )
    return dict(arguments)


def _is_triple(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == _INPUT_DIMENSIONS
        and all(isinstance(number, int | float) for number in value)
    )


def _architecture(path: Path, config: dict[str, Any], named: str) -> str:
    import timm

    found = str(config.get("architecture", ""))
    if named and found and named != found:
        raise ModelError(f"{path}: holds '{found}', but image-encoder names '{named}'.")
    architecture = named or found
    if not timm.is_model(architecture):
        raise ModelError(
            f"{path}: timm knows no model '{architecture}'. Name one: image-encoder='timm:NAME:"
            f"{path.parent}'."
        )
    return architecture

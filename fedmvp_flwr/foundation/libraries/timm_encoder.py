"""Image encoder from one timm folder: a config.json in timm's own format and safetensors.

The config says what the weights alone do not: `architecture` (unless the spec names it),
`num_classes`, `model_args`, and in `pretrained_cfg` the input's size and scaling.
"""

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.folders.location import single_weights
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features, unit

if TYPE_CHECKING:
    from PIL.Image import Image

_NEEDED = ("mean", "std", "input_size")
_CHANNELS_LAST = "NHWC"
_MAP_DIMENSIONS = 4  # (N, D, rows, columns)
# Of timm's builder behind `create_model`: they load other weights or make it another kind of model.
_BUILDER_ARGUMENTS = frozenset({"feature_cfg", "feature_cls", "features_only", "out_indices"})


class TimmImageEncoder:
    """The last feature map pooled to a square grid, and the network's own pooled features.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding, which has length 1.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - an untyped library's object
        transform: Callable[["Image"], Tensor],
        device: str,
        grid: int,
    ) -> None:
        """Measure the widths on one blank image.

        Args:
            model: the loaded network.
            transform: its preprocessing of one RGB image.
            device: where the network lies.
            grid: rows and columns of the pooled token map.

        Raises:
            ModelError: the network's last map is smaller than the grid.
        """
        from PIL import Image

        self._model, self._transform = model, transform
        self._device, self._grid = device, grid
        blank = self.encode([Image.new("RGB", (32, 32))])[0]
        self.token_width, self.pooled_width = blank.tokens.shape[1], len(blank.pooled)

    def encode(self, items: Sequence["Image"]) -> list[ModalityFeatures]:
        """Encode RGB images of any size: float16 tokens (grid * grid, D) and pooled (P,)."""
        if not items:
            return []
        pixels = torch.stack([self._transform(image.convert("RGB")) for image in items])
        with torch.inference_mode():
            features = self._model.forward_features(pixels.to(self._device))
            pooled = self._model.forward_head(features, pre_logits=True)
            tokens = pool_to_grid(self._maps(features), self._grid)
        return to_features(tokens, unit(pooled))

    def _maps(self, features: Tensor) -> Tensor:
        """Arrange the network's features as (N, D, rows, columns), without class tokens."""
        if features.dim() == _MAP_DIMENSIONS:
            last = getattr(self._model, "output_fmt", "NCHW") == _CHANNELS_LAST
            return features.permute(0, 3, 1, 2) if last else features
        patches = features[:, int(getattr(self._model, "num_prefix_tokens", 0)) :]
        rows, columns = self._model.patch_embed.grid_size
        maps: Tensor = patches.transpose(1, 2).unflatten(2, (rows, columns))
        return maps


def load_image_encoder(context: LoadContext) -> TimmImageEncoder:
    """Load network and preprocessing from the folder; nothing is fetched.

    Raises:
        ModelError: the config lacks something, names another architecture than the spec or an
            argument that loads something, or there is not one file of weights.
    """
    import timm
    from safetensors.torch import load_file

    spec = context.spec
    path = spec.folder / "config.json"
    config = _read_config(path)
    found = str(config.get("architecture", ""))
    if spec.architecture and found and spec.architecture != found:
        raise ModelError(f"{path}: holds '{found}', not '{spec.architecture}'.")
    architecture = spec.architecture or found
    if not timm.is_model(architecture):
        raise ModelError(
            f"{path}: timm knows no model '{architecture}'. Name one: 'timm:NAME:{spec.folder}'."
        )
    model = timm.create_model(architecture, pretrained=False, **_model_arguments(path, config))
    state = load_file(single_weights(spec.folder, spec.weights))
    model.load_state_dict({key: _float(tensor) for key, tensor in state.items()})
    data = timm.data.resolve_data_config({}, pretrained_cfg=config["pretrained_cfg"])
    transform = timm.data.create_transform(**data, is_training=False)
    model = model.to(context.device).eval().requires_grad_(False)
    return TimmImageEncoder(model, transform, context.device, context.settings.image_grid)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
        scaling = dict(config["pretrained_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: expected timm's config in JSON with a 'pretrained_cfg': {error!r}"
        ) from error
    wrong = [name for name in _NEEDED if not _is_triple(scaling.get(name))]
    if wrong:
        raise ModelError(
            f"{path}: expected three numbers each in 'pretrained_cfg' under {', '.join(wrong)}; "
            "timm would silently take the values of another model."
        )
    return config


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
    usual = ("num_classes", "global_pool")
    return {name: config[name] for name in usual if name in config} | dict(arguments)


def _is_triple(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == len(_NEEDED)
        and all(isinstance(number, int | float) for number in value)
    )


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

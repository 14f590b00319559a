"""Image encoder from one timm folder: a config.json in timm's own format and safetensors.

The file says what the weights alone do not: `architecture` (unless the spec names it),
`num_classes`, `model_args`, and in `pretrained_cfg` the input's size and scaling.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.errors import ModelError
from fedmvp_flwr.features import ModalityFeatures
from fedmvp_flwr.foundation.place import single_weights
from fedmvp_flwr.foundation.specs import LoadContext
from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features, unit

if TYPE_CHECKING:
    from PIL.Image import Image

_CONFIG = "config.json"
_NEEDED = ("mean", "std", "input_size")
_CHANNELS_LAST = "NHWC"
_MAP_DIMENSIONS = 4  # (N, D, rows, columns)


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
        ModelError: the config lacks something, or names another architecture than the spec.
    """
    import timm
    from safetensors.torch import load_file

    path = context.folder / _CONFIG
    config = _read_config(path)
    architecture = _architecture(path, config, context.architecture)
    arguments = dict(config.get("model_args") or {})
    for name in ("num_classes", "global_pool"):
        if name in config:
            arguments.setdefault(name, config[name])
    model = timm.create_model(architecture, pretrained=False, **arguments)
    state = load_file(single_weights(context.folder, context.weights))
    model.load_state_dict({key: _float(tensor) for key, tensor in state.items()})
    data = timm.data.resolve_data_config({}, pretrained_cfg=config["pretrained_cfg"])
    transform = timm.data.create_transform(**data, is_training=False)
    model = model.to(context.device).eval().requires_grad_(False)
    return TimmImageEncoder(model, transform, context.device, context.config.image_grid)


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
    return dict(config)


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


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

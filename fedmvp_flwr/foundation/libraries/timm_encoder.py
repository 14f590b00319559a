"""Image encoder from one timm folder: a config.json in timm's own format and safetensors.

The config says what the weights alone do not: `architecture` (unless the spec names it),
`num_classes`, `model_args`, and in `pretrained_cfg` the input's size and scaling.
"""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.location import single_weights
from fedmvp_flwr.foundation.libraries.encoders import GridEncoder
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import patch_maps, unit

if TYPE_CHECKING:
    from PIL.Image import Image

_NEEDED = ("mean", "std", "input_size")
_CHANNELS_LAST = "NHWC"
_MAP_DIMENSIONS = 4  # (N, D, rows, columns)
# Of timm's builder behind `create_model`: they load other weights or make it another kind of model.
_BUILDER_ARGUMENTS = frozenset({"feature_cfg", "feature_cls", "features_only", "out_indices"})


class TimmImageEncoder(GridEncoder):
    """The network's last feature map, and its own pooled features."""

    def __init__(self, context: LoadContext) -> None:
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
        if not timm.is_model(architecture):  # "hf-hub:..." and "local-dir:..." are other places
            raise ModelError(f"{path}: timm knows no model {architecture!r}.")
        arguments = _model_arguments(path, config)
        model = timm.create_model(architecture, pretrained=False, **arguments)
        state = load_file(single_weights(spec.folder, spec.weights))
        model.load_state_dict(
            {key: t.float() if t.is_floating_point() else t for key, t in state.items()}
        )
        self._model = model.to(context.device).eval().requires_grad_(False)
        data = timm.data.resolve_data_config({}, pretrained_cfg=config["pretrained_cfg"])
        self._transform = timm.data.create_transform(**data, is_training=False)
        super().__init__(context)

    def _prepare(self, images: Sequence["Image"]) -> Tensor:
        return torch.stack([self._transform(image) for image in images])

    def _look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = self._model.forward_features(pixels)
        pooled = self._model.forward_head(features, pre_logits=True)
        return self._maps(features), unit(pooled)

    def _maps(self, features: Tensor) -> Tensor:
        """Arrange the network's features as (N, D, rows, columns), without class tokens."""
        if features.dim() == _MAP_DIMENSIONS:
            last = getattr(self._model, "output_fmt", "NCHW") == _CHANNELS_LAST
            return features.permute(0, 3, 1, 2) if last else features
        return patch_maps(features, *self._model.patch_embed.grid_size)[0]


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
        scaling = dict(config["pretrained_cfg"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: expected timm's config in JSON with a 'pretrained_cfg': {error!r}"
        ) from error
    if missing := [name for name in _NEEDED if not scaling.get(name)]:
        raise ModelError(
            f"{path}: 'pretrained_cfg' lacks {', '.join(missing)}; timm would silently take the "
            "values of another model."
        )
    return config


def _model_arguments(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Return the network's own arguments; those of timm's functions could name a pickle."""
    import timm

    arguments = dict(config.get("model_args") or {})
    of_timm = _BUILDER_ARGUMENTS | set(inspect.signature(timm.create_model).parameters)
    refused = sorted(n for n in arguments if n in of_timm or n.startswith("pretrained"))
    if refused:
        raise ModelError(
            f"{path}: 'model_args' holds {', '.join(refused)}; expected arguments of the network "
            "alone, because the weights come from the folder's .safetensors file. Take it out."
        )
    usual = ("num_classes", "global_pool")
    return {name: config[name] for name in usual if name in config} | arguments

"""Image encoder from one timm folder: a config.json in timm's own format and safetensors."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.folders.timm_folder import feature_maps, read_folder
from fedmvp_flwr.foundation.specs import LoadContext
from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features, unit

if TYPE_CHECKING:
    from PIL.Image import Image


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
            tokens = pool_to_grid(feature_maps(self._model, features), self._grid)
        return to_features(tokens, unit(pooled))


def load_image_encoder(context: LoadContext) -> TimmImageEncoder:
    """Load network and preprocessing from the folder; nothing is fetched.

    Raises:
        ModelError: the config lacks something, or names another architecture than the spec.
    """
    import timm
    from safetensors.torch import load_file

    folder = read_folder(context)
    model = timm.create_model(folder.architecture, pretrained=False, **folder.arguments)
    state = load_file(folder.weights)
    model.load_state_dict({key: _float(tensor) for key, tensor in state.items()})
    data = timm.data.resolve_data_config({}, pretrained_cfg=folder.preprocessing)
    transform = timm.data.create_transform(**data, is_training=False)
    model = model.to(context.device).eval().requires_grad_(False)
    return TimmImageEncoder(model, transform, context.device, context.config.models.image_grid)


def _float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor

"""Image encoder from one transformers folder: CLIP, SigLIP, ViT, DINO, ConvNeXt and their like.

Of an image-text model the pooled embedding is the one in the joint space; of an image model it is
the class token or, without one, the mean of the patches, at length 1. Heads that a checkpoint may
lack (a ViT's pooler) are not used.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.libraries.transformers_model import LOCAL_ONLY, load_auto_model
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import patch_maps, pool_to_grid, to_features, unit

if TYPE_CHECKING:
    from PIL.Image import Image

_EXPECTED = "Expected an image model such as CLIP, SigLIP, ViT, DINO or ConvNeXt."
_MAP_DIMENSIONS = 4  # (N, D, rows, columns): a convolutional network


class TransformersImageEncoder:
    """Patch tokens pooled to a square grid, and a pooled embedding of length 1.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - an untyped library's object
        processor: Any,  # noqa: ANN401
        device: str,
        grid: int,
        joint: bool,
    ) -> None:
        """Measure the widths on one blank image.

        Args:
            model: the loaded model.
            processor: its image processor.
            device: where the model lies.
            grid: rows and columns of the pooled token map.
            joint: it has a text side as well that ends in the same space.

        Raises:
            ModelError: the model's token map is smaller than the grid, or it sees no images.
        """
        from PIL import Image

        self._model, self._processor = model, processor
        self._device, self._grid = device, grid
        self._joint = joint
        blank = self.encode([Image.new("RGB", (32, 32))])[0]
        self.token_width, self.pooled_width = blank.tokens.shape[1], len(blank.pooled)

    def encode(self, items: Sequence["Image"]) -> list[ModalityFeatures]:
        """Encode RGB images of any size: float16 tokens (grid * grid, D) and pooled (P,)."""
        if not items:
            return []
        rgb = [image.convert("RGB") for image in items]
        pixels = self._processor(images=rgb, return_tensors="pt")["pixel_values"].to(self._device)
        with torch.inference_mode():
            tokens, joint = self._run(pixels)
            if tokens.dim() == _MAP_DIMENSIONS:
                maps, leading = tokens, 0
            else:
                maps, leading = patch_maps(tokens, *self._patches(pixels))
            own = tokens[:, 0] if leading else maps.mean(dim=(2, 3))
            return to_features(
                pool_to_grid(maps, self._grid), unit(own if joint is None else joint)
            )

    def _run(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the last layer's tokens, and the joint-space embedding if there is one."""
        if not self._joint:
            return self._model(pixel_values=pixels).last_hidden_state, None
        output = self._model.get_image_features(pixel_values=pixels)
        tokens = output.last_hidden_state
        vision = self._model.vision_model
        # CLIP normalises the class token alone, after the last layer; SigLIP all of them.
        if self._model.config.model_type != "siglip" and hasattr(vision, "post_layernorm"):
            tokens = vision.post_layernorm(tokens)
        return tokens, output.pooler_output

    def _patches(self, pixels: Tensor) -> tuple[int, int]:
        config = getattr(self._model.config, "vision_config", self._model.config)
        size = getattr(config, "patch_size", None)
        if size is None:
            raise ModelError(
                f"{type(self._model).__name__} tells no patch_size: its tokens "
                f"form no map. {_EXPECTED}"
            )
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return pixels.shape[2] // height, pixels.shape[3] // width


def load_image_encoder(context: LoadContext) -> TransformersImageEncoder:
    """Load model and preprocessing from the folder; nothing is fetched."""
    from transformers import AutoImageProcessor

    processor_class: Any = AutoImageProcessor
    processor = processor_class.from_pretrained(context.spec.folder, **LOCAL_ONLY)
    model = load_auto_model(context)
    if getattr(model, "main_input_name", "") != "pixel_values" and not context.spec.joint:
        raise ModelError(f"{type(model).__name__} takes no images. {_EXPECTED}")
    return TransformersImageEncoder(
        model, processor, context.device, context.settings.image_grid, context.spec.joint
    )

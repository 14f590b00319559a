"""Image encoder from one transformers folder: CLIP, SigLIP, ViT, DINO, ConvNeXt and their like.

Of an image-text model the pooled embedding is the one in the joint space; of an image model it is
the class token or, without one, the mean of the patches, at length 1. Heads that a checkpoint may
lack (a ViT's pooler) are not used.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from fedmvp_flwr.foundation.libraries.encoders import GridEncoder
from fedmvp_flwr.foundation.libraries.transformers_model import LOCAL_ONLY, load_auto_model
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import patch_maps, unit

if TYPE_CHECKING:
    from PIL.Image import Image

_MAP_DIMENSIONS = 4  # (N, D, rows, columns): a convolutional network


class TransformersImageEncoder(GridEncoder):
    """Patch tokens of a model that AutoModel finds."""

    def __init__(self, context: LoadContext) -> None:
        """Load model and preprocessing from the folder; nothing is fetched."""
        from transformers import AutoImageProcessor

        self._processor = AutoImageProcessor.from_pretrained(context.spec.folder, **LOCAL_ONLY)
        self._model, self._joint = load_auto_model(context), context.spec.joint
        super().__init__(context)

    def _prepare(self, images: Sequence["Image"]) -> Tensor:
        pixels: Tensor = self._processor(images=images, return_tensors="pt")["pixel_values"]
        return pixels

    def _look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        tokens, joint = self._run(pixels)
        if tokens.dim() == _MAP_DIMENSIONS:
            maps, leading = tokens, 0
        else:
            maps, leading = patch_maps(tokens, *self._patches(pixels))
        own = tokens[:, 0] if leading else maps.mean(dim=(2, 3))
        return maps, unit(own if joint is None else joint)

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
        size = config.patch_size
        height, width = size if isinstance(size, list | tuple) else (size, size)
        return pixels.shape[2] // height, pixels.shape[3] // width

"""Image and text encoder from one open_clip model folder (config, safetensors, tokenizer).

The pooled embeddings are the normalised projections into the joint space; the tokens are those
of the last layer, normalised as the model does before it pools them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedmvp_flwr.foundation.libraries.encoders import GridEncoder, WordEncoder
from fedmvp_flwr.foundation.libraries.open_clip_model import load_clip
from fedmvp_flwr.foundation.spec import LoadContext

if TYPE_CHECKING:
    from PIL.Image import Image

_LAST_LAYER = 1  # forward_intermediates: the last n layers
_SIMPLE_TOKENIZER_PAD = 0  # open_clip's own tokenizer pads with zeros


class OpenClipImageEncoder(GridEncoder):
    """Image side of a model."""

    def __init__(self, context: LoadContext) -> None:
        """Load the model with its preprocessing."""
        self._clip = load_clip(context)
        super().__init__(context)

    def _prepare(self, images: Sequence["Image"]) -> Tensor:
        return torch.stack([self._clip.preprocess(image) for image in images])

    def _look(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        # With attention pooling the final norm has the width of the pooled vector.
        plain_pooling = getattr(self._clip.model.visual, "attn_pool", None) is None
        output = self._clip.model.forward_intermediates(
            image=pixels, image_indices=_LAST_LAYER, normalize_intermediates=plain_pooling
        )
        return output["image_intermediates"][-1], output["image_features"]


class OpenClipTextEncoder(WordEncoder):
    """Text side of a model; the pooled embedding sees as much as the model's context reaches."""

    def __init__(self, context: LoadContext) -> None:
        """Load the model with its tokenizer."""
        self._clip = load_clip(context)
        inner = getattr(self._clip.tokenizer, "tokenizer", None)  # Hugging Face's, if it is one
        self._pad = getattr(inner, "pad_token_id", None) or _SIMPLE_TOKENIZER_PAD
        super().__init__(context)

    def _read(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        ids = self._clip.tokenizer(texts)  # (N, context length), padded
        output = self._clip.model.forward_intermediates(
            text=ids.to(self._device),
            text_indices=_LAST_LAYER,
            normalize_intermediates=True,
            text_output_fmt="NLC",
        )
        # Of each row without its trailing padding.
        lengths = ((ids != self._pad) * torch.arange(1, ids.shape[1] + 1)).amax(dim=1)
        return output["text_intermediates"][-1], output["text_features"], lengths

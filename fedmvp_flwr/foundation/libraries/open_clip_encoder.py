"""Image and text encoder from one open_clip model folder (config, safetensors, tokenizer).

The pooled embeddings are the normalised projections into the joint space; the tokens are those
of the last layer, normalised as the model does before it pools them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.libraries.open_clip_model import Clip, load_clip
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import pool_to_grid, to_features

if TYPE_CHECKING:
    from PIL.Image import Image

_LAST_LAYER = 1  # forward_intermediates: the last n layers
_SIMPLE_TOKENIZER_PAD = 0  # open_clip's own tokenizer pads with zeros


class OpenClipImageEncoder:
    """Patch tokens pooled to a square grid, and the joint-space embedding.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding.
    """

    def __init__(self, clip: Clip, device: str, grid: int) -> None:
        """Measure the widths on one blank image.

        Args:
            clip: the loaded model with its preprocessing.
            device: where the model lies.
            grid: rows and columns of the pooled token map.

        Raises:
            ModelError: the model's token map is smaller than the grid.
        """
        from PIL import Image

        self._clip, self._device, self._grid = clip, device, grid
        blank = self.encode([Image.new("RGB", (1, 1))])[0]
        self.token_width, self.pooled_width = blank.tokens.shape[1], len(blank.pooled)

    def encode(self, items: Sequence["Image"]) -> list[ModalityFeatures]:
        """Encode RGB images of any size: float16 tokens (grid * grid, D) and pooled (P,)."""
        if not items:
            return []
        pixels = torch.stack([self._clip.preprocess(image.convert("RGB")) for image in items])
        # With attention pooling the final norm has the width of the pooled vector.
        plain_pooling = getattr(self._clip.model.visual, "attn_pool", None) is None
        with torch.inference_mode():
            output = self._clip.model.forward_intermediates(
                image=pixels.to(self._device),
                image_indices=_LAST_LAYER,
                normalize_intermediates=plain_pooling,
            )
            maps = output["image_intermediates"][-1]  # (N, D, rows, columns)
            tokens = pool_to_grid(maps, self._grid)
        return to_features(tokens, output["image_features"])


class OpenClipTextEncoder:
    """Text tokens of their real length, and the joint-space embedding.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding.
    """

    def __init__(self, clip: Clip, device: str, max_tokens: int) -> None:
        """Measure the widths on an empty text.

        Args:
            clip: the loaded model with its tokenizer.
            device: where the model lies.
            max_tokens: token sequences are cut here; the pooled embedding sees the whole text, as
                far as the model's own context reaches.
        """
        self._clip, self._device, self._max_tokens = clip, device, max_tokens
        self._pad = _pad_id(clip.tokenizer)
        empty = self.encode([""])[0]
        self.token_width, self.pooled_width = empty.tokens.shape[1], len(empty.pooled)

    def encode(self, items: Sequence[str]) -> list[ModalityFeatures]:
        """Encode texts: float16 tokens of their real length (T, D) and pooled (P,)."""
        if not items:
            return []
        ids = self._clip.tokenizer(list(items))  # (N, context length), padded
        with torch.inference_mode():
            output = self._clip.model.forward_intermediates(
                text=ids.to(self._device),
                text_indices=_LAST_LAYER,
                normalize_intermediates=True,
                text_output_fmt="NLC",
            )
        lengths = _real_lengths(ids, self._pad).clamp(1, self._max_tokens)
        tokens, pooled = output["text_intermediates"][-1], output["text_features"]
        return to_features(tokens, pooled, lengths.tolist())


def load_image_encoder(context: LoadContext) -> OpenClipImageEncoder:
    """Load the image side of the model folder."""
    return OpenClipImageEncoder(load_clip(context), context.device, context.settings.image_grid)


def load_text_encoder(context: LoadContext) -> OpenClipTextEncoder:
    """Load the text side of the model folder."""
    return OpenClipTextEncoder(load_clip(context), context.device, context.settings.text_max_tokens)


def _pad_id(tokenizer: Any) -> int:  # noqa: ANN401 - an untyped library's object
    inner = getattr(tokenizer, "tokenizer", None)  # the Hugging Face tokenizer, if it is one
    pad = getattr(inner, "pad_token_id", None)
    return _SIMPLE_TOKENIZER_PAD if pad is None else int(pad)


def _real_lengths(ids: Tensor, pad: int) -> Tensor:
    """Length (N,) of each row of (N, L) token ids without its trailing padding."""
    positions = torch.arange(1, ids.shape[1] + 1)
    return ((ids != pad) * positions).amax(dim=1)

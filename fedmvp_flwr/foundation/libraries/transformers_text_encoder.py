"""Text encoder from one transformers folder: CLIP, SigLIP, BERT and sentence encoders.

Of an image-text model the pooled embedding is the one in the joint space. Of a text model it is
the mean over the tokens, or what the folder's `1_Pooling/config.json` says, at length 1.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.foundation.libraries.sentence_pooling import CLASS_TOKEN, pooling_of
from fedmvp_flwr.foundation.libraries.transformers_model import (
    LOCAL_ONLY,
    load_auto_model,
    require_words,
)
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import mean_over, to_features, unit

_PADDED_TYPES = {"siglip"}  # trained on texts padded to the full length, padding not masked
_FEWEST_TOKENS = 4  # shorter texts could not even hold the frame of special tokens


class TransformersTextEncoder:
    """Text tokens of their real length, and a pooled embedding of length 1.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - an untyped library's object
        tokenizer: Any,  # noqa: ANN401
        device: str,
        max_tokens: int,
        pooling: str | None,
    ) -> None:
        """Measure the widths on an empty text.

        Args:
            model: the loaded model.
            tokenizer: its tokenizer.
            device: where the model lies.
            max_tokens: token sequences are cut here. A text model reads no more than that either;
                an image-text model pools over the whole text, as far as its context reaches.
            pooling: "mean" or "cls", of a text model; None of an image-text model.
        """
        self._model, self._tokenizer, self._device = model, tokenizer, device
        self._joint = pooling is None
        self._padded = str(model.config.model_type) in _PADDED_TYPES
        self._max_tokens, self._pooling = max_tokens, pooling
        context = _context_length(model, tokenizer)
        self._length = context if self._joint else min(context, max(max_tokens, _FEWEST_TOKENS))
        empty = self.encode([""])[0]
        self.token_width, self.pooled_width = empty.tokens.shape[1], len(empty.pooled)

    def encode(self, items: Sequence[str]) -> list[ModalityFeatures]:
        """Encode texts: float16 tokens of their real length (T, D) and pooled (P,)."""
        if not items:
            return []
        inputs = self._tokenizer(
            list(items),
            padding="max_length" if self._padded else True,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
            return_attention_mask=True,
        )
        ids, mask = inputs["input_ids"].to(self._device), inputs["attention_mask"].to(self._device)
        with torch.inference_mode():
            tokens, pooled = self._run(ids, mask)
        # No special tokens and an empty text: the padding is the only token there is.
        lengths = mask.sum(dim=1).clamp(1, self._max_tokens)
        return to_features(tokens, unit(pooled), lengths.tolist())

    def _run(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self._joint:
            masks = {} if self._padded else {"attention_mask": mask}
            output = self._model.get_text_features(input_ids=ids, **masks)
            return output.last_hidden_state, output.pooler_output
        tokens: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return tokens, tokens[:, 0] if self._pooling == CLASS_TOKEN else mean_over(tokens, mask)


def load_text_encoder(context: LoadContext) -> TransformersTextEncoder:
    """Load model and tokenizer from the folder; nothing is fetched.

    Raises:
        ModelError: it is no text encoder, or pools in a way that is not known here.
    """
    from transformers import AutoTokenizer

    tokenizer_class: Any = AutoTokenizer
    folder, joint = context.spec.folder, context.spec.joint
    tokenizer = tokenizer_class.from_pretrained(folder, **LOCAL_ONLY)
    require_words(folder, tokenizer)
    model = load_auto_model(context)
    is_text = getattr(model, "main_input_name", "") == "input_ids" or joint
    if not is_text or model.config.is_encoder_decoder:
        raise ModelError(
            f"{type(model).__name__} is no text encoder; expected BERT, a sentence "
            "encoder, CLIP or SigLIP."
        )
    tokenizer.padding_side = "right"  # the real tokens come first
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return TransformersTextEncoder(
        model,
        tokenizer,
        context.device,
        context.settings.text_max_tokens,
        None if joint else pooling_of(folder),
    )


def _context_length(model: Any, tokenizer: Any) -> int:  # noqa: ANN401 - untyped
    config = getattr(model.config, "text_config", model.config)
    positions = getattr(config, "max_position_embeddings", None)
    return min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))

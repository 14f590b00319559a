"""Text encoder from one transformers folder: CLIP, SigLIP, BERT and sentence encoders.

Of an image-text model the pooled embedding is the one in the joint space. Of a text model it is
the mean over the tokens, or what the folder's `1_Pooling/config.json` says, at length 1.
"""

from typing import Any

from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.libraries.encoders import WordEncoder
from fedmvp_flwr.foundation.libraries.sentence_pooling import CLASS_TOKEN, pooling_of
from fedmvp_flwr.foundation.libraries.transformers_model import (
    LOCAL_ONLY,
    load_auto_model,
    require_words,
)
from fedmvp_flwr.foundation.spec import LoadContext
from fedmvp_flwr.foundation.tokens import mean_over, unit

_PADDED_TYPES = {"siglip"}  # trained on texts padded to the full length, padding not masked
_FEWEST_TOKENS = 4  # shorter texts could not even hold the frame of special tokens


class TransformersTextEncoder(WordEncoder):
    """A text model reads no more tokens than the set number.

    An image-text model pools over the whole text, as far as its context reaches.
    """

    def __init__(self, context: LoadContext) -> None:
        """Load model and tokenizer from the folder; nothing is fetched.

        Raises:
            ModelError: it is no text encoder, or pools in a way that is not known here.
        """
        from transformers import AutoTokenizer

        folder, self._joint = context.spec.folder, context.spec.joint
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL_ONLY)
        require_words(folder, tokenizer)
        tokenizer.padding_side = "right"  # the real tokens come first
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model = load_auto_model(context)
        if model.config.is_encoder_decoder:
            raise ModelError(
                f"{type(model).__name__} is no text encoder; expected BERT, a sentence encoder, "
                "CLIP or SigLIP."
            )
        self._model, self._tokenizer = model, tokenizer
        self._padded = str(model.config.model_type) in _PADDED_TYPES
        self._pooling = "" if self._joint else pooling_of(folder)
        self._length = _context_length(model, tokenizer)
        if not self._joint:
            longest = max(context.settings.text_max_tokens, _FEWEST_TOKENS)
            self._length = min(self._length, longest)
        super().__init__(context)

    def _read(self, texts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        inputs = self._tokenizer(
            texts,
            padding="max_length" if self._padded else True,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
            return_attention_mask=True,
        )
        ids, mask = inputs["input_ids"].to(self._device), inputs["attention_mask"].to(self._device)
        tokens, pooled = self._run(ids, mask)
        return tokens, unit(pooled), mask.sum(dim=1)

    def _run(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        if self._joint:
            masks = {} if self._padded else {"attention_mask": mask}
            output = self._model.get_text_features(input_ids=ids, **masks)
            return output.last_hidden_state, output.pooler_output
        tokens: Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return tokens, tokens[:, 0] if self._pooling == CLASS_TOKEN else mean_over(tokens, mask)


def _context_length(model: Any, tokenizer: Any) -> int:  # noqa: ANN401 - untyped
    config = getattr(model.config, "text_config", model.config)
    positions = getattr(config, "max_position_embeddings", None)
    return min(int(tokenizer.model_max_length), positions or int(tokenizer.model_max_length))

"""Captioners from one Hugging Face transformers folder: BLIP, BLIP-2, or any chat model."""

from collections.abc import Callable
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.libraries.transformers_blip import Blip2Captioner, BlipCaptioner
from fedmvp_flwr.foundation.libraries.transformers_chat import ChatCaptioner
from fedmvp_flwr.foundation.libraries.transformers_model import (
    LOCAL_ONLY,
    load_whole,
    require_words,
)
from fedmvp_flwr.foundation.spec import Captioner, LoadContext

_MAX_NEW_TOKENS = 48  # twice BLIP's usual caption; decoding stops at the end token anyway
_OWN_WAYS: dict[str, Callable[[Any, Any, str, int], Captioner]] = {
    "blip": BlipCaptioner,
    "blip-2": Blip2Captioner,
}


def load_captioner(context: LoadContext) -> Captioner:
    """Load model and processor from the folder; nothing is fetched and no code of it is run.

    Raises:
        ModelError: a model that is neither BLIP nor BLIP-2 and has no chat template, or one whose
            folder lacks weights or names files of weights that are no safetensors.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    folder, options = context.spec.folder, context.spec.options
    kind = AutoConfig.from_pretrained(folder, **LOCAL_ONLY).model_type
    processor = AutoProcessor.from_pretrained(folder, **LOCAL_ONLY)
    require_words(folder, processor.tokenizer)
    if kind not in _OWN_WAYS and not getattr(processor, "chat_template", None):
        raise ModelError(
            f"{folder} is a '{kind}' without a chat template; expected BLIP, BLIP-2, or an "
            "image-text-to-text model whose processor has one."
        )
    model = load_whole(AutoModelForImageTextToText, folder, options.dtype).to(context.device)
    longest = options.max_tokens or _MAX_NEW_TOKENS
    return _OWN_WAYS.get(kind, ChatCaptioner)(model, processor, context.device, longest)

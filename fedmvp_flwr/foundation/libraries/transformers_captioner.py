"""Captioners from one Hugging Face transformers folder: BLIP, BLIP-2, or any chat model."""

from collections.abc import Callable
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import require_safetensors
from fedmvp_flwr.foundation.libraries.dtypes import DTYPES
from fedmvp_flwr.foundation.libraries.transformers_model import (
    LOCAL_ONLY,
    require_whole,
    require_words,
)
from fedmvp_flwr.foundation.protocols import Captioner
from fedmvp_flwr.foundation.spec import LoadContext

MAX_NEW_TOKENS = 48  # twice BLIP's usual caption; decoding stops at the end token anyway
_KNOWN = ("blip", "blip-2")


def load_captioner(context: LoadContext) -> Captioner:
    """Load model and processor from the folder; nothing is fetched and no code of it is run.

    Raises:
        ModelError: a model that is neither BLIP nor BLIP-2 and has no chat template, or one whose
            folder lacks weights or names files of weights that are no safetensors.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries
    from fedmvp_flwr.foundation.libraries.transformers_answers import ChatCaptioner
    from fedmvp_flwr.foundation.libraries.transformers_blip import Blip2Captioner, BlipCaptioner

    config_class: Any = AutoConfig
    processor_class: Any = AutoProcessor
    model_class: Any = AutoModelForImageTextToText
    folder, options = context.spec.folder, context.spec.options
    require_safetensors(folder)
    with quiet_libraries():
        kind = config_class.from_pretrained(folder, **LOCAL_ONLY).model_type
        processor = processor_class.from_pretrained(folder, **LOCAL_ONLY)
        require_words(folder, processor.tokenizer)
        chats = bool(getattr(processor, "chat_template", None))
        if kind not in _KNOWN and not chats:
            raise ModelError(
                f"{folder} is a '{kind}' without a chat template; expected "
                "BLIP, BLIP-2, or an image-text-to-text model whose processor has one."
            )
        model, info = model_class.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            dtype=DTYPES[options.dtype],
            **LOCAL_ONLY,
        )
    require_whole(folder, model, info["missing_keys"])
    model = model.to(context.device).eval().requires_grad_(False)
    longest = options.max_tokens or MAX_NEW_TOKENS
    adapters: dict[str, Callable[[Any, Any, str, int], Captioner]] = {
        "blip": BlipCaptioner,
        "blip-2": Blip2Captioner,
    }
    return adapters.get(kind, ChatCaptioner)(model, processor, context.device, longest)

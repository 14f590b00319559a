"""Captioners from one Hugging Face transformers folder: BLIP, BLIP-2, or any chat model."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from fedmvp_flwr.errors import ModelError
from fedmvp_flwr.foundation.dtypes import DTYPES
from fedmvp_flwr.foundation.protocols import Captioner
from fedmvp_flwr.foundation.specs import LoadContext
from fedmvp_flwr.foundation.transformers_model import LOCAL_ONLY, without_special_tokens

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_NEW_TOKENS = 48  # twice BLIP's usual caption; decoding stops at the end token anyway
_KNOWN = ("blip", "blip-2")


class BlipCaptioner:
    """Greedy captions and answers; the images are seen once for any number of prompts."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - an untyped library's object
        processor: Any,  # noqa: ANN401
        device: str,
        longest: int = MAX_NEW_TOKENS,
    ) -> None:
        """Take a loaded `BlipForConditionalGeneration`, its processor, and the longest answer."""
        self._model, self._processor, self._device = model, processor, device
        self._longest = longest

    def caption(self, images: Sequence["Image"], prompt: str) -> list[str]:
        """Continue `prompt` for each image; return the new text only, stripped."""
        return self.caption_each(images, [prompt])[0]

    def caption_each(self, images: Sequence["Image"], prompts: Sequence[str]) -> list[list[str]]:
        """Continue every prompt for each image: one list of N texts per prompt."""
        if not images:
            return [[] for _ in prompts]
        rgb = [image.convert("RGB") for image in images]
        pixels = self._processor.image_processor(images=rgb, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self._device, self._model.dtype)
        with torch.inference_mode():
            seen = self._model.vision_model(pixel_values=pixels)[0]
            return [self._continue(seen, prompt) for prompt in prompts]

    def _continue(self, seen: torch.Tensor, prompt: str) -> list[str]:
        """Decode as `BlipForConditionalGeneration.generate` does, from encoded images (N, S, D)."""
        tokenizer, text_config = self._processor.tokenizer, self._model.config.text_config
        asked = tokenizer(without_special_tokens(prompt, tokenizer), add_special_tokens=False)
        most = text_config.max_position_embeddings - 2  # the first token and one of the answer
        # The end of a prompt that is too long stays: the question, not the class name before it.
        start = [text_config.bos_token_id, *asked["input_ids"][-most:]]
        ids = torch.tensor([start] * len(seen), device=seen.device)
        room = text_config.max_position_embeddings - len(start)
        output = self._model.text_decoder.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
            eos_token_id=text_config.sep_token_id,
            pad_token_id=text_config.pad_token_id,
            max_new_tokens=max(1, min(self._longest, room)),
            do_sample=False,
            num_beams=1,
            use_cache=True,
        )
        texts = tokenizer.batch_decode(output[:, len(start) :], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def load_captioner(context: LoadContext) -> Captioner:
    """Load model and processor from the folder; nothing is fetched and no code of it is run.

    Raises:
        ModelError: a model that is neither BLIP nor BLIP-2 and has no chat template.
    """
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    from fedmvp_flwr.foundation.quiet import quiet_libraries
    from fedmvp_flwr.foundation.transformers_answers import Blip2Captioner, ChatCaptioner

    config_class: Any = AutoConfig
    processor_class: Any = AutoProcessor
    model_class: Any = AutoModelForImageTextToText
    with quiet_libraries():
        kind = config_class.from_pretrained(context.folder, **LOCAL_ONLY).model_type
        processor = processor_class.from_pretrained(context.folder, **LOCAL_ONLY)
        chats = bool(getattr(processor, "chat_template", None))
        if kind not in _KNOWN and not chats:
            raise ModelError(
                f"captioner: {context.folder} is a '{kind}' without a chat template; expected "
                "BLIP, BLIP-2, or an image-text-to-text model whose processor has one."
            )
        model = model_class.from_pretrained(
            context.folder,
            use_safetensors=True,
            dtype=DTYPES[context.config.captioner_dtype],
            **LOCAL_ONLY,
        )
    model = model.to(context.device).eval().requires_grad_(False)
    longest = context.config.captioner_max_tokens or MAX_NEW_TOKENS
    adapters: dict[str, Callable[[Any, Any, str, int], Captioner]] = {
        "blip": BlipCaptioner,
        "blip-2": Blip2Captioner,
    }
    return adapters.get(kind, ChatCaptioner)(model, processor, context.device, longest)

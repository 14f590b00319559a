"""Captioner from one Hugging Face transformers folder of the BLIP class."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from fedmvp_flwr.foundation.specs import LoadContext

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_NEW_TOKENS = 48  # twice BLIP's usual caption; decoding stops at the end token anyway


class BlipCaptioner:
    """Greedy captions and answers; the images are seen once for any number of prompts."""

    def __init__(self, model: Any, processor: Any, device: str) -> None:  # noqa: ANN401 - untyped
        """Take a loaded `BlipForConditionalGeneration` and its processor."""
        self._model, self._processor, self._device = model, processor, device

    def caption(self, images: Sequence["Image"], prompt: str) -> list[str]:
        """Continue `prompt` for each image; return the new text only, stripped."""
        return self.caption_each(images, [prompt])[0]

    def caption_each(self, images: Sequence["Image"], prompts: Sequence[str]) -> list[list[str]]:
        """Continue every prompt for each image: one list of N texts per prompt."""
        if not images:
            return [[] for _ in prompts]
        rgb = [image.convert("RGB") for image in images]
        pixels = self._processor.image_processor(images=rgb, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            seen = self._model.vision_model(pixel_values=pixels.to(self._device))[0]
            return [self._continue(seen, prompt) for prompt in prompts]

    def _continue(self, seen: torch.Tensor, prompt: str) -> list[str]:
        """Decode as `BlipForConditionalGeneration.generate` does, from encoded images (N, S, D)."""
        tokenizer, text_config = self._processor.tokenizer, self._model.config.text_config
        start = [text_config.bos_token_id]
        start += tokenizer(prompt, add_special_tokens=False)["input_ids"]
        ids = torch.tensor([start] * len(seen), device=seen.device)
        room = text_config.max_position_embeddings - len(start)
        output = self._model.text_decoder.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
            eos_token_id=text_config.sep_token_id,
            pad_token_id=text_config.pad_token_id,
            max_new_tokens=max(1, min(_MAX_NEW_TOKENS, room)),
            do_sample=False,
            num_beams=1,
            use_cache=True,
        )
        texts = tokenizer.batch_decode(output[:, len(start) :], skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


def load_captioner(context: LoadContext) -> BlipCaptioner:
    """Load model and processor from the folder; nothing is fetched and no code of it is run."""
    from transformers import AutoProcessor, BlipForConditionalGeneration

    from fedmvp_flwr.foundation.quiet import quiet_libraries

    processor_class: Any = AutoProcessor
    model_class: Any = BlipForConditionalGeneration
    with quiet_libraries():
        processor = processor_class.from_pretrained(
            context.folder, local_files_only=True, trust_remote_code=False
        )
        model = model_class.from_pretrained(
            context.folder, local_files_only=True, use_safetensors=True
        )
    model = model.to(context.device).eval().requires_grad_(False)
    return BlipCaptioner(model, processor, context.device)

"""Captioners of the BLIP family: an image is seen once and told of for any number of prompts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.foundation.libraries.transformers_chat import decoded
from fedmvp_flwr.foundation.libraries.transformers_model import without_special_tokens

if TYPE_CHECKING:
    from PIL.Image import Image


class SeenOnce(ABC):
    """Greedy captions and answers; the images are seen once for any number of prompts."""

    def __init__(self, model: Any, processor: Any, device: str, longest: int) -> None:  # noqa: ANN401 - untyped
        """Take a loaded model, its processor, its device, and the most new tokens of an answer."""
        self._model, self._processor = model, processor
        self._device, self._longest = device, longest

    def caption_each(self, images: Sequence["Image"], prompts: Sequence[str]) -> list[list[str]]:
        """Continue every prompt for each image: one list of N texts per prompt."""
        if not images:
            return [[] for _ in prompts]
        rgb = [image.convert("RGB") for image in images]
        pixels = self._processor.image_processor(images=rgb, return_tensors="pt")["pixel_values"]
        pixels = pixels.to(self._device, self._model.dtype)
        with torch.inference_mode():
            seen = self._see(pixels)
            return [self._continue(rgb[0], seen, prompt) for prompt in prompts]

    @abstractmethod
    def _see(self, pixels: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to tokens (N, S, D)."""

    @abstractmethod
    def _continue(self, any_image: "Image", seen: Tensor, prompt: str) -> list[str]:
        """Decode a prompt for each of the encoded images (N, S, D)."""


class BlipCaptioner(SeenOnce):
    """Captions of a loaded `BlipForConditionalGeneration`."""

    def _see(self, pixels: Tensor) -> Tensor:
        seen: Tensor = self._model.vision_model(pixel_values=pixels)[0]
        return seen

    def _continue(self, any_image: "Image", seen: Tensor, prompt: str) -> list[str]:
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
        return decoded(self._processor, output[:, len(start) :])


class Blip2Captioner(SeenOnce):
    """Captions of a `Blip2ForConditionalGeneration`, of an OPT or a T5 language model."""

    def __init__(self, model: Any, processor: Any, device: str, longest: int) -> None:  # noqa: ANN401 - untyped
        super().__init__(model, processor, device, longest)
        if processor.num_query_tokens is None:  # older checkpoints do not say it themselves
            processor.num_query_tokens = model.config.num_query_tokens

    def _see(self, pixels: Tensor) -> Tensor:
        seen: Tensor = self._model.get_image_features(pixel_values=pixels).pooler_output
        return seen

    def _continue(self, any_image: "Image", seen: Tensor, prompt: str) -> list[str]:
        """Put the query tokens of each image before the prompt and decode."""
        prompt = without_special_tokens(prompt, self._processor.tokenizer)
        ids = self._processor(images=any_image, text=prompt, return_tensors="pt")["input_ids"]
        ids = ids.to(self._device).expand(len(seen), -1)
        embedded = self._model.get_input_embeddings()(ids)
        places = (ids == self._model.config.image_token_id)[:, :, None]
        embedded = embedded.masked_scatter(places, seen.to(embedded.dtype))
        output = self._model.language_model.generate(
            inputs_embeds=embedded,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=self._longest,
            do_sample=False,
            num_beams=1,
        )
        return decoded(self._processor, output)

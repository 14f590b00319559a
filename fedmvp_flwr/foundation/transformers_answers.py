"""Captioners that answer: BLIP-2, and any image-text-to-text model with a chat template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.foundation.transformers_model import without_special_tokens

if TYPE_CHECKING:
    from PIL.Image import Image


class Blip2Captioner:
    """Greedy captions and answers; the images are seen once for any number of prompts."""

    def __init__(self, model: Any, processor: Any, device: str, longest: int) -> None:  # noqa: ANN401 - untyped
        """Take a loaded `Blip2ForConditionalGeneration` and its processor.

        Args:
            model: the model, with a decoder-only (OPT) or encoder-decoder (T5) language model.
            processor: its processor.
            device: where the model lies.
            longest: most new tokens of an answer.
        """
        self._model, self._processor = model, processor
        self._device, self._longest = device, longest
        if processor.num_query_tokens is None:  # older checkpoints do not say it themselves
            processor.num_query_tokens = model.config.num_query_tokens

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
            seen = self._model.get_image_features(pixel_values=pixels).pooler_output  # (N, Q, D)
            return [self._continue(rgb[0], seen, prompt) for prompt in prompts]

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


class ChatCaptioner:
    """One question with one image per chat; the prompt is what the user says, word for word.

    Prompts should tell what to do (`prompt-template = "instruct"`), not begin a caption.
    """

    def __init__(self, model: Any, processor: Any, device: str, longest: int) -> None:  # noqa: ANN401 - untyped
        """Take a loaded model for image-text-to-text and its processor with a chat template.

        Args:
            model: the model.
            processor: its processor.
            device: where the model lies.
            longest: most new tokens of an answer.
        """
        self._model, self._processor = model, processor
        self._device, self._longest = device, longest
        processor.tokenizer.padding_side = "left"  # answers begin where the prompts end
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def caption(self, images: Sequence["Image"], prompt: str) -> list[str]:
        """Answer `prompt` for each image, stripped."""
        if not images:
            return []
        prompt = without_special_tokens(prompt, self._processor.tokenizer)
        chats = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": image.convert("RGB")},
                        {"type": "text", "text": prompt},
                    ],
                }
            ]
            for image in images
        ]
        inputs = self._processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        inputs = inputs.to(self._device, self._model.dtype)  # whole numbers stay what they are
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=self._longest,
                do_sample=False,
                num_beams=1,
                pad_token_id=self._processor.tokenizer.pad_token_id,
            )
        return decoded(self._processor, output[:, inputs["input_ids"].shape[1] :])


def decoded(processor: Any, ids: Tensor) -> list[str]:  # noqa: ANN401 - an untyped library's object
    """Texts of the token ids (N, T), without special tokens, white space tidied."""
    texts = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [" ".join(text.split()) for text in texts]

"""A captioner that answers: any image-text-to-text model with a chat template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fedmvp_flwr.foundation.libraries.transformers_model import without_special_tokens

if TYPE_CHECKING:
    from PIL.Image import Image


class ChatCaptioner:
    """One question with one image per chat; the prompt is what the user says, word for word.

    Prompts should tell what to do (`prompt-template = "instruct"`), not begin a caption.
    """

    def __init__(self, model: Any, processor: Any, device: str, longest: int) -> None:  # noqa: ANN401 - untyped
        """Take a loaded model, its processor, its device, and the most new tokens of an answer."""
        self._model, self._processor = model, processor
        self._device, self._longest = device, longest
        processor.tokenizer.padding_side = "left"  # answers begin where the prompts end
        if processor.tokenizer.pad_token is None:
            processor.tokenizer.pad_token = processor.tokenizer.eos_token

    def caption_each(self, images: Sequence["Image"], prompts: Sequence[str]) -> list[list[str]]:
        """Answer every prompt for each image: one list of N texts per prompt."""
        rgb = [image.convert("RGB") for image in images]
        return [self._answer(rgb, prompt) if rgb else [] for prompt in prompts]

    def _answer(self, images: Sequence["Image"], prompt: str) -> list[str]:
        prompt = without_special_tokens(prompt, self._processor.tokenizer)
        chats = [
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": image},
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

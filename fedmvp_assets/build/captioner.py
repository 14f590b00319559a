"""The embedded captioner: a small BLIP (transformers) that describes flowers and answers questions.

It continues a prompt: a coarse one to a caption of some of the visible attributes, a detailed one
to a caption of all of them, a question to the attribute's usual word.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_assets.build import words
from fedmvp_assets.build.bank import ATTRIBUTES
from fedmvp_assets.build.loop import Job, fit
from fedmvp_flwr.data.flora import FlowerSpec
from fedmvp_flwr.data.flora_render import IMAGE_SIZE

_BATCH = 48
_RATE = 1.5e-3
_MATRIX_RATE = 0.01
_AUXILIARY = 0.5  # weight of the attribute heads on the image tokens, which are dropped later
_EMA = 0.99
_WIDTH = 128
_MAX_POSITIONS = 40
_IGNORED = -100  # label of what the loss skips, as everywhere in transformers
_DETAILED_SHARE = 0.35  # of the captions; the rest follow the coarse prompt
# Chance of each attribute to be named after the coarse prompt. Well above those of the data set's
# captions: greedy decoding follows the likelier branch and shall name at least three.
_NAMED = {"colour": 0.95, "shape": 0.7, "count": 0.65, "pattern": 0.8, "centre": 0.6}
CALL = {"num_beams": 1, "do_sample": False, "max_new_tokens": 24}


def build_captioner() -> Any:  # noqa: ANN401 - transformers is imported here only
    """The untrained model."""
    from transformers import BlipConfig, BlipForConditionalGeneration

    index = {word: i for i, word in enumerate(words.vocabulary())}
    config = BlipConfig(
        text_config={
            "vocab_size": len(index),
            "hidden_size": _WIDTH,
            "encoder_hidden_size": _WIDTH,
            "intermediate_size": 3 * _WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": _MAX_POSITIONS,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "bos_token_id": index[words.START],
            "sep_token_id": index[words.END],
            "eos_token_id": index[words.END],
            "pad_token_id": index[words.PAD],
        },
        vision_config={
            "hidden_size": _WIDTH,
            "intermediate_size": 3 * _WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": IMAGE_SIZE,
            "patch_size": 8,
        },
        projection_dim=_WIDTH,
        image_text_hidden_size=_WIDTH,
    )
    return BlipForConditionalGeneration(config)


class CaptionerTrainer(nn.Module):
    """The captioner and the attribute heads that help its image tokens along."""

    def __init__(self) -> None:
        super().__init__()
        self.model = build_captioner()
        self.attributes = nn.ModuleList(nn.Linear(_WIDTH, len(v)) for v in ATTRIBUTES.values())

    def loss(self, pixels: Tensor, attributes: Tensor, tokens: Tensor, labels: Tensor) -> Tensor:
        """Next-word loss plus the attribute heads' loss.

        Args:
            pixels: (B, 3, S, S).
            attributes: (B, 5) value indices.
            tokens: (2 B, L) ids: a caption for each image, then a question and its answer for each.
            labels: (2 B, L) ids, `_IGNORED` on prompts and padding.
        """
        seen = self.model.vision_model(pixel_values=pixels)[0]
        pooled = seen[:, 1:].mean(dim=1)
        told = sum(
            F.cross_entropy(head(pooled), attributes[:, i])
            for i, head in enumerate(self.attributes)
        )
        output = self.model.text_decoder(
            input_ids=tokens,
            attention_mask=(tokens != 0).long(),
            encoder_hidden_states=seen.repeat(2, 1, 1),
            labels=labels,
        )
        return output.loss + _AUXILIARY * told / len(self.attributes)


def train_captioner(
    job: Job, start: Callable[[CaptionerTrainer], None] | None = None
) -> CaptionerTrainer:
    """Train the captioner on drawn flowers, their captions and questions about them.

    Args:
        job: bank, budget and so on.
        start: changes the untrained captioner, for example to the encoder's image tower.
    """
    torch.manual_seed(job.seed)
    trainer = CaptionerTrainer()
    if start is not None:
        start(trainer)
    trainer.to(job.device)
    tokenizer = words.build_tokenizer()

    def loss_of(step: int) -> Tensor:
        generator, index = job.batch("captioner", step, _BATCH)
        specs = [job.bank.specs[i] for i in index]
        pairs = [_caption_pair(spec, generator) for spec in specs]
        pairs += [_question_pair(spec, generator) for spec in specs]
        tokens, labels = _encode(tokenizer, pairs)
        return trainer.loss(
            job.bank.pixels(index, job.device),
            job.bank.attributes[index].to(job.device),
            tokens.to(job.device),
            labels.to(job.device),
        )

    fit(
        trainer,
        loss_of,
        job.budget,
        learning_rate=_RATE,
        matrix_rate=_MATRIX_RATE,
        checkpoint=job.work / "captioner.safetensors",
        ema_decay=_EMA,
    )
    return trainer.cpu()


def save_captioner(trainer: CaptionerTrainer, folder: Path) -> None:
    """Write model and processor as `from_pretrained` wants them, in half precision."""
    from transformers import BlipImageProcessor, BlipProcessor

    folder.mkdir(parents=True, exist_ok=True)
    model = build_captioner()
    model.load_state_dict(trainer.model.state_dict())
    model.half().save_pretrained(folder)
    load_in_single_precision(folder / "config.json")
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    image_processor = BlipImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    BlipProcessor(image_processor, words.build_tokenizer()).save_pretrained(folder)
    (folder / "fedmvp.json").write_text(json.dumps({"call": CALL}, indent=2) + "\n")


def load_in_single_precision(config: Path) -> None:
    """Make a configuration ask for float32: half precision is for the files, slow on a CPU."""
    text = config.read_text(encoding="utf-8").replace('"float16"', '"float32"')
    config.write_text(text, encoding="utf-8")


def _caption_pair(spec: FlowerSpec, generator: np.random.Generator) -> tuple[str, str]:
    if generator.random() < _DETAILED_SHARE:
        return words.DETAILED_PROMPT, words.full_caption(spec)
    return words.COARSE_PROMPT, words.visible_caption(spec, generator, _NAMED)


def _question_pair(spec: FlowerSpec, generator: np.random.Generator) -> tuple[str, str]:
    name = words.VISIBLE[int(generator.integers(len(words.VISIBLE)))]
    return words.question_prompt(name), words.value_words(name, spec)[0]


def _encode(tokenizer: Any, pairs: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:  # noqa: ANN401
    """Token ids and labels (N, L) of prompts with what follows them."""
    prompts = tokenizer([p for p, _ in pairs], add_special_tokens=False).input_ids
    batch = tokenizer([f"{p} {text}" for p, text in pairs], padding=True, return_tensors="pt")
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, _IGNORED)
    for row, prompt in enumerate(prompts):
        labels[row, : 1 + len(prompt)] = _IGNORED
    return batch.input_ids, labels

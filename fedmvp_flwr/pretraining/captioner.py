"""A captioner: a small BLIP (transformers) that continues a prompt to a text about an image."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.pretraining.bank import PIXEL_MEAN, PIXEL_STD
from fedmvp_flwr.pretraining.encoder import EncoderTrainer
from fedmvp_flwr.pretraining.job import AttributeHeads, Draw, Job, Rates, Trainer
from fedmvp_flwr.pretraining.shape import Shape
from fedmvp_flwr.pretraining.tokenizer import plain

_AUXILIARY = 0.5  # weight of the attribute heads on the image tokens, which are dropped later
_MLP_RATIO = 3
_IGNORED = -100  # label of what the loss skips, as everywhere in transformers
_CALL = {"num_beams": 1, "do_sample": False, "max_new_tokens": 24}


def build_blip(shape: Shape, tokenizer: Any) -> Any:  # noqa: ANN401 - transformers is imported here only
    """The untrained model."""
    from transformers import BlipConfig, BlipForConditionalGeneration

    config = BlipConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": shape.width,
            "encoder_hidden_size": shape.width,
            "intermediate_size": _MLP_RATIO * shape.width,
            "num_hidden_layers": shape.text_layers,
            "num_attention_heads": shape.heads,
            "max_position_embeddings": shape.context,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "bos_token_id": tokenizer.bos_token_id,
            "sep_token_id": tokenizer.sep_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "hidden_size": shape.width,
            "intermediate_size": _MLP_RATIO * shape.width,
            "num_hidden_layers": shape.vision_layers,
            "num_attention_heads": shape.heads,
            "image_size": shape.image_size,
            "patch_size": shape.patch,
        },
        projection_dim=shape.width,
        image_text_hidden_size=shape.width,
    )
    return BlipForConditionalGeneration(config)


class CaptionerTrainer(Trainer):
    """The captioner and the attribute heads that help its image tokens along."""

    name = "captioner"
    rates = Rates(batch=48, learning_rate=1.5e-3, matrix_rate=0.01, ema_decay=0.99)

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.model = build_blip(job.shape, job.tokenizer)
        self.attributes = AttributeHeads(job.shape.width, job.bank.attribute_sizes)

    def loss(self, draw: Draw) -> Tensor:
        """Next-word loss of what follows the prompts, plus the attribute heads' loss."""
        pairs = draw.job.bank.caption_pairs(draw.index, draw.chance)
        tokens, labels = encode_pairs(draw.job, pairs)  # (k B, L): all images, then all again
        seen = self.model.vision_model(pixel_values=draw.pixels)[0]
        told = self.attributes.loss(seen[:, 1:], draw.attributes)
        output = self.model.text_decoder(
            input_ids=tokens,
            attention_mask=(tokens != 0).long(),
            encoder_hidden_states=seen.repeat(len(tokens) // len(seen), 1, 1),
            labels=labels,
        )
        total: Tensor = output.loss + _AUXILIARY * told
        return total


def save_captioner(trainer: CaptionerTrainer, job: Job, folder: Path) -> None:
    """Write model and processor as `from_pretrained` wants them, in half precision."""
    from transformers import BlipImageProcessor, BlipProcessor

    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(trainer.model).half().save_pretrained(folder)
    load_in_single_precision(folder / "config.json")
    size = {"height": job.shape.image_size, "width": job.shape.image_size}
    image_processor = BlipImageProcessor(size=size, image_mean=PIXEL_MEAN, image_std=PIXEL_STD)
    BlipProcessor(image_processor, plain(job.tokenizer)).save_pretrained(folder)
    (folder / "fedmvp.json").write_text(json.dumps({"call": _CALL}, indent=2) + "\n")


def load_in_single_precision(config: Path) -> None:
    """Make a configuration ask for float32: half precision is for the files, slow on a CPU."""
    text = config.read_text(encoding="utf-8").replace('"float16"', '"float32"')
    config.write_text(text, encoding="utf-8")


def encode_pairs(job: Job, pairs: list[tuple[str, str]]) -> tuple[Tensor, Tensor]:
    """Token ids and labels (N, L) of prompts with what follows them, on the job's device."""
    prompts = job.tokenizer([p for p, _ in pairs], add_special_tokens=False).input_ids
    batch = job.tokens([f"{prompt} {text}" for prompt, text in pairs])
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, _IGNORED)
    for row, prompt in enumerate(prompts):
        labels[row, : 1 + len(prompt)] = _IGNORED
    return batch.input_ids, labels


@torch.no_grad()
def encoder_to_captioner(encoder: EncoderTrainer, captioner: CaptionerTrainer) -> None:
    """Copy image tower and attribute heads of an `EncoderTrainer` into a `CaptionerTrainer`."""
    clip_vision, blip_vision = encoder.clip.visual, captioner.model.vision_model
    captioner.attributes.load_state_dict(encoder.attributes.state_dict())
    embeddings = blip_vision.embeddings
    embeddings.patch_embedding.weight.copy_(clip_vision.conv1.weight)
    embeddings.patch_embedding.bias.zero_()
    embeddings.class_embedding[0, 0].copy_(clip_vision.class_embedding)
    embeddings.position_embedding[0].copy_(clip_vision.positional_embedding)
    for clip, blip in block_pairs(clip_vision, blip_vision):
        for clip_part, blip_part in block_parts(clip, blip):
            blip_part.load_state_dict(clip_part.state_dict())
        blip.self_attn.qkv.weight.copy_(clip.attn.in_proj_weight)
        blip.self_attn.qkv.bias.copy_(clip.attn.in_proj_bias)
    blip_vision.post_layernorm.load_state_dict(clip_vision.ln_post.state_dict())


def block_pairs(clip_vision: Any, blip_vision: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - untyped
    """The blocks of two equal towers, each with its own in the other."""
    return list(zip(clip_vision.transformer.resblocks, blip_vision.encoder.layers, strict=True))


def block_parts(clip: Any, blip: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - untyped
    """The parts of two blocks that have the same weights by the same names."""
    return [
        (clip.ln_1, blip.layer_norm1),
        (clip.ln_2, blip.layer_norm2),
        (clip.attn.out_proj, blip.self_attn.projection),
        (clip.mlp.c_fc, blip.mlp.fc1),
        (clip.mlp.c_proj, blip.mlp.fc2),
    ]

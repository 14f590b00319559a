"""Hands the image tower of the encoder to the captioner.

Both are the same vision transformer in different words, so that what one has learned to see the
other need not learn again.
"""

from typing import Any

import torch

from fedmvp_flwr.pretraining.captioner import CaptionerTrainer
from fedmvp_flwr.pretraining.encoder import EncoderTrainer


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

"""Hands the image tower of the encoder to the captioner, or the other way round.

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
    for clip, blip in _block_pairs(clip_vision, blip_vision):
        for clip_part, blip_part in _parts(clip, blip):
            blip_part.load_state_dict(clip_part.state_dict())
        blip.self_attn.qkv.weight.copy_(clip.attn.in_proj_weight)
        blip.self_attn.qkv.bias.copy_(clip.attn.in_proj_bias)
    blip_vision.post_layernorm.load_state_dict(clip_vision.ln_post.state_dict())


@torch.no_grad()
def captioner_to_encoder(captioner: CaptionerTrainer, encoder: EncoderTrainer) -> None:
    """Copy image tower and attribute heads of a `CaptionerTrainer` into an `EncoderTrainer`."""
    blip_vision, clip_vision = captioner.model.vision_model, encoder.clip.visual
    encoder.attributes.load_state_dict(captioner.attributes.state_dict())
    embeddings = blip_vision.embeddings
    clip_vision.conv1.weight.copy_(embeddings.patch_embedding.weight)
    clip_vision.class_embedding.copy_(embeddings.class_embedding[0, 0])
    clip_vision.positional_embedding.copy_(embeddings.position_embedding[0])
    # The encoder's patches have no bias of their own: their positions take it.
    clip_vision.positional_embedding[1:] += embeddings.patch_embedding.bias
    for clip, blip in _block_pairs(clip_vision, blip_vision):
        for clip_part, blip_part in _parts(clip, blip):
            clip_part.load_state_dict(blip_part.state_dict())
        clip.attn.in_proj_weight.copy_(blip.self_attn.qkv.weight)
        clip.attn.in_proj_bias.copy_(blip.self_attn.qkv.bias)
    clip_vision.ln_post.load_state_dict(blip_vision.post_layernorm.state_dict())


def _block_pairs(clip_vision: Any, blip_vision: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - untyped
    return list(zip(clip_vision.transformer.resblocks, blip_vision.encoder.layers, strict=True))


def _parts(clip: Any, blip: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401 - untyped
    return [
        (clip.ln_1, blip.layer_norm1),
        (clip.ln_2, blip.layer_norm2),
        (clip.attn.out_proj, blip.self_attn.projection),
        (clip.mlp.c_fc, blip.mlp.fc1),
        (clip.mlp.c_proj, blip.mlp.fc2),
    ]

"""Hands the image tower of the captioner to the encoder: the other way round than `pretrain`."""

import torch

from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, block_pairs, block_parts
from fedmvp_flwr.pretraining.encoder import EncoderTrainer


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
    for clip, blip in block_pairs(clip_vision, blip_vision):
        for clip_part, blip_part in block_parts(clip, blip):
            clip_part.load_state_dict(blip_part.state_dict())
        clip.attn.in_proj_weight.copy_(blip.self_attn.qkv.weight)
        clip.attn.in_proj_bias.copy_(blip.self_attn.qkv.bias)
    clip_vision.ln_post.load_state_dict(blip_vision.post_layernorm.state_dict())

"""An image-text encoder: a small CLIP (open_clip), trained with auxiliary heads.

The heads (attributes from the image tokens, words from the text tokens) keep the token outputs
telling, which the joint encoder reads; they are dropped after the training.
"""

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from fedmvp_flwr.pretraining.bank import PIXEL_MEAN, PIXEL_STD
from fedmvp_flwr.pretraining.job import AttributeHeads, Draw, Job, Rates, Trainer
from fedmvp_flwr.pretraining.shape import Shape
from fedmvp_flwr.pretraining.tokenizer import plain

_AUXILIARY = 0.5  # weight of the auxiliary losses
_BAG = 10.0  # of the mean over the vocabulary, of which a text has few words
_MAX_LOG_SCALE = 4.6  # of the contrastive logits, as CLIP's: a factor of 100
MLP_RATIO = 3.0


def model_config(shape: Shape, vocabulary_size: int) -> dict[str, Any]:
    """Return open_clip's own description of the model."""
    return {
        "embed_dim": shape.width,
        "vision_cfg": {
            "image_size": shape.image_size,
            "layers": shape.vision_layers,
            "width": shape.width,
            "head_width": shape.width // shape.heads,
            "patch_size": shape.patch,
            "mlp_ratio": MLP_RATIO,
            "no_ln_pre": True,
        },
        "text_cfg": {
            "context_length": shape.context,
            "vocab_size": vocabulary_size,
            "width": shape.width,
            "heads": shape.heads,
            "layers": shape.text_layers,
            "mlp_ratio": MLP_RATIO,
            "hf_tokenizer_name": ".",
        },
    }


class EncoderTrainer(Trainer):
    """The CLIP model and the heads that are dropped later."""

    name = "encoder"
    rates = Rates(batch=96, learning_rate=1e-3, matrix_rate=0.01, ema_decay=0.98)

    def __init__(self, job: Job) -> None:
        super().__init__()
        from open_clip import CLIP

        shape, vocabulary_size = job.shape, len(job.tokenizer)
        self.config = model_config(shape, vocabulary_size)
        text = {k: v for k, v in self.config["text_cfg"].items() if k != "hf_tokenizer_name"}
        self.clip: Any = CLIP(shape.width, self.config["vision_cfg"], text)
        self.clip.visual.output_tokens = True
        self.attributes = AttributeHeads(shape.width, job.bank.attribute_sizes)
        self.vocabulary = nn.Linear(shape.width, vocabulary_size)

    def loss(self, draw: Draw) -> Tensor:
        """Contrastive loss of images and their texts, plus the auxiliary ones."""
        job = draw.job
        tokens = job.tokens(job.bank.texts(draw.index, draw.chance)).input_ids  # (B, L)
        pooled, patches = self.clip.visual(draw.pixels)
        texts, token_outputs = self._encode_text(tokens)
        image, text = F.normalize(pooled, dim=1), F.normalize(texts, dim=1)
        logits = self.clip.logit_scale.clamp(max=_MAX_LOG_SCALE).exp() * image @ text.T
        target = torch.arange(len(logits), device=logits.device)
        contrastive = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        seen = self.attributes.loss(patches, draw.attributes)
        # Bag of words: every text token's mean must still tell which words there were.
        bag = torch.zeros(len(tokens), self.vocabulary.out_features, device=tokens.device)
        bag.scatter_(1, tokens, 1.0)
        mask = (tokens != 0).float()[:, :, None]
        words_mean = (token_outputs * mask).sum(1) / mask.sum(1)
        told = _BAG * F.binary_cross_entropy_with_logits(self.vocabulary(words_mean), bag)
        total: Tensor = contrastive + _AUXILIARY * (seen + told)
        return total

    def _encode_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        clip = self.clip
        length = tokens.shape[1]  # of the longest text here: shorter than the context
        hidden = clip.token_embedding(tokens) + clip.positional_embedding[:length]
        mask = clip.attn_mask[:length, :length]
        hidden = clip.ln_final(clip.transformer(hidden, attn_mask=mask))
        rows = torch.arange(len(tokens), device=tokens.device)
        ends = hidden[rows, tokens.argmax(dim=1)]
        return ends @ clip.text_projection, hidden


def save_encoder(trainer: EncoderTrainer, job: Job, folder: Path) -> None:
    """Write the model as open_clip's `local-dir:` wants it, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() for k, v in trainer.clip.state_dict().items()}
    half.pop("attn_mask", None)
    save_file(half, folder / "open_clip_model.safetensors")
    preprocessing = {
        "size": [job.shape.image_size] * 2,
        "mode": "RGB",
        "mean": PIXEL_MEAN,
        "std": PIXEL_STD,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    config = {"model_cfg": trainer.config, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    plain(job.tokenizer).save_pretrained(folder)

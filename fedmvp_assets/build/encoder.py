"""The embedded image-text encoder: a small CLIP (open_clip), trained with auxiliary heads.

The heads (attributes from the image tokens, words from the text tokens) keep the token outputs
telling, which the joint encoder reads; they are dropped after the training.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from fedmvp_assets.build import words
from fedmvp_assets.build.bank import ATTRIBUTES
from fedmvp_assets.build.loop import Job, fit
from fedmvp_flwr.data import flora
from fedmvp_flwr.data.flora_render import IMAGE_SIZE

WIDTH = 128
_BATCH = 96
_RATE = 1e-3
_MATRIX_RATE = 0.01
_EMA = 0.98
_AUXILIARY = 0.5  # weight of the auxiliary losses
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {
        "image_size": IMAGE_SIZE,
        "layers": 4,
        "width": WIDTH,
        "head_width": 32,
        "patch_size": 8,
        "mlp_ratio": 3.0,
        "no_ln_pre": True,
    },
    "text_cfg": {
        "context_length": words.MAX_TOKENS,
        "vocab_size": len(words.vocabulary()),
        "width": WIDTH,
        "heads": 4,
        "layers": 2,
        "mlp_ratio": 3.0,
        "hf_tokenizer_name": ".",
    },
}
PREPROCESS = {
    "size": [IMAGE_SIZE, IMAGE_SIZE],
    "mode": "RGB",
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
    "interpolation": "bicubic",
    "resize_mode": "squash",
}


class EncoderTrainer(nn.Module):
    """The CLIP model and the heads that are dropped later."""

    def __init__(self) -> None:
        super().__init__()
        from open_clip import CLIP

        text = {k: v for k, v in MODEL_CONFIG["text_cfg"].items() if k != "hf_tokenizer_name"}
        self.clip = CLIP(WIDTH, MODEL_CONFIG["vision_cfg"], text)
        self.clip.visual.output_tokens = True
        self.attributes = nn.ModuleList(nn.Linear(WIDTH, len(v)) for v in ATTRIBUTES.values())
        self.vocabulary = nn.Linear(WIDTH, MODEL_CONFIG["text_cfg"]["vocab_size"])

    def loss(self, pixels: Tensor, tokens: Tensor, attributes: Tensor) -> Tensor:
        """Contrastive loss plus the auxiliary ones."""
        pooled, patches = self.clip.visual(pixels)
        texts, token_outputs = self._encode_text(tokens)
        image, text = F.normalize(pooled, dim=1), F.normalize(texts, dim=1)
        logits = self.clip.logit_scale.clamp(max=4.6).exp() * image @ text.T
        target = torch.arange(len(logits), device=logits.device)
        contrastive = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
        mean = patches.mean(dim=1)
        seen = sum(
            F.cross_entropy(head(mean), attributes[:, i]) for i, head in enumerate(self.attributes)
        )
        # Bag of words: every text token's mean must still tell which words there were.
        bag = torch.zeros(len(tokens), self.vocabulary.out_features, device=tokens.device)
        bag.scatter_(1, tokens, 1.0)
        mask = (tokens != 0).float()[:, :, None]
        words_mean = (token_outputs * mask).sum(1) / mask.sum(1)
        told = F.binary_cross_entropy_with_logits(self.vocabulary(words_mean), bag) * 10
        return contrastive + _AUXILIARY * (seen / len(self.attributes) + told)

    def _encode_text(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        clip = self.clip
        length = tokens.shape[1]  # of the longest text here: shorter than the context
        hidden = clip.token_embedding(tokens) + clip.positional_embedding[:length]
        mask = clip.attn_mask[:length, :length]
        hidden = clip.ln_final(clip.transformer(hidden, attn_mask=mask))
        ends = hidden[torch.arange(len(tokens)), tokens.argmax(dim=1)]
        return ends @ clip.text_projection, hidden


def train_encoder(
    job: Job, start: Callable[[EncoderTrainer], None] | None = None
) -> EncoderTrainer:
    """Train the encoder on drawn flowers and their captions.

    Args:
        job: bank, budget and so on.
        start: changes the untrained encoder, for example to the captioner's image tower.
    """
    torch.manual_seed(job.seed)
    trainer = EncoderTrainer()
    if start is not None:
        start(trainer)
    trainer.to(job.device)
    tokenizer = words.build_tokenizer()

    def loss_of(step: int) -> Tensor:
        generator, index = job.batch("encoder", step, _BATCH)
        texts = [flora.caption(job.bank.specs[i], generator) for i in index]
        tokens = tokenizer(texts, padding=True, return_tensors="pt").input_ids
        return trainer.loss(
            job.bank.pixels(index, job.device),
            tokens.to(job.device),
            job.bank.attributes[index].to(job.device),
        )

    fit(
        trainer,
        loss_of,
        job.budget,
        learning_rate=_RATE,
        matrix_rate=_MATRIX_RATE,
        checkpoint=job.work / "encoder.safetensors",
        ema_decay=_EMA,
    )
    return trainer.cpu()


def save_encoder(trainer: EncoderTrainer, folder: Path) -> None:
    """Write the model as open_clip's `local-dir:` wants it."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.half().contiguous() for k, v in trainer.clip.state_dict().items()}
    half.pop("attn_mask", None)
    save_file(half, folder / "open_clip_model.safetensors")
    config = {"model_cfg": MODEL_CONFIG, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    words.build_tokenizer().save_pretrained(folder)

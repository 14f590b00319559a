"""The card of the models that `fedmvp pretrain` made."""

from collections.abc import Mapping
from typing import Any

_STAGES = {
    "encoder": "CLIP's contrastive loss; words from the text tokens",
    "captioner": "next token after a prompt; image tower from the encoder",
    "autoencoder": "absolute and squared error, noise on the latents",
    "generator": "flow matching in the latents, 10% empty prompts",
    "decoder": "the autoencoder's decoder, latents as they were",
}


def model_card(report: Mapping[str, Any]) -> str:
    """Return the card in Markdown.

    Args:
        report: what `fedmvp_flwr.pretraining.procedure.pretrain` returns.
    """
    return "\n".join([_introduction(report), _recipe(report), _figures(report), _LIMITS])


def _introduction(report: Mapping[str, Any]) -> str:
    data = report["data"]
    labels = "used as targets" if data["labels-used"] else "not used"
    return f"""\
# Model card: models made by `fedmvp pretrain`

- `encoder`: image-text encoder, class CLIP of open_clip
- `captioner`: image to text, class `BlipForConditionalGeneration` of transformers
- `generator`: text to image, class `PixArtAlphaPipeline` of diffusers on an AutoencoderTiny

Use them with these settings, where DIR is the absolute path of this folder:

    image-encoder='open_clip:local:DIR/encoder'
    text-encoder='open_clip:local:DIR/encoder'
    captioner='transformers:local:DIR/captioner'
    image-generator='diffusers:local:DIR/generator'
    caption-questions=''

## Data

| | |
|---|---|
| source | `{data["dataset"]}`, split `{data["split"]}` |
| pairs learned from | {data["train"]} |
| pairs held out for the figures | {data["held-out"]} |
| skipped, because image or text is missing | {data["skipped"]} |
| labels | {labels} |
| SHA-256 of the digests learned from | `{data["hash"]}` |
| SHA-256 of the digests held out | `{data["held-out-hash"]}` |
"""


def _recipe(report: Mapping[str, Any]) -> str:
    lines = [
        "## Recipe",
        "",
        "Muon for the hidden matrices, AdamW for the rest, cosine schedule, gradient clipping,",
        "moving average of the weights. Nothing was taken from any other model.",
        "",
        "| trained | by | steps | minutes | last loss |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {_STAGES[name]} | {row['steps']} | {row['minutes']:.1f} | {row['loss']:.3f} |"
        for name, row in report["training"].items()
    ]
    shape = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in report["shape"].items())
    versions = ", ".join(f"{name} {value}" for name, value in report["versions"].items())
    lines += [
        "",
        f"Shape: {shape}. Vocabulary: {report['vocabulary']} tokens, byte-level BPE, lower case,",
        f"learned from the texts. Seed {report['seed']}, device {report['device']}. {versions}.",
        "",
    ]
    return "\n".join(lines)


def _figures(report: Mapping[str, Any]) -> str:
    figures = report["figures"]
    encoder, captioner = figures["encoder"], figures["captioner"]
    autoencoder, generator = figures["autoencoder"], figures["generator"]
    rows = [
        (
            f"image to text, R@5 of {encoder['pairs']}",
            _percent(encoder["image-to-text-r5"]),
            _percent(encoder["chance-r5"]),
        ),
        (
            f"text to image, R@5 of {encoder['pairs']}",
            _percent(encoder["text-to-image-r5"]),
            _percent(encoder["chance-r5"]),
        ),
        (
            f"captions: ROUGE-L with the image's text ({captioner['captions']})",
            f"{captioner['rouge-l']:.3f}",
            f"{captioner['rouge-l-of-another']:.3f} (another image's)",
        ),
        ("captions that differ", _percent(captioner["distinct"]), ""),
        (
            f"autoencoder: mean absolute error ({autoencoder['images']} images, pixels in [0, 1])",
            f"{autoencoder['mean-absolute-error']:.3f}",
            f"{autoencoder['of-the-mean-image']:.3f} (mean image)",
        ),
        (
            f"generated image to its text by the encoder above, R@5 of {generator['images']}",
            _percent(generator["image-to-text-r5"]),
            _percent(generator["chance-r5"]),
        ),
    ]
    lines = ["## Figures", "", "On the held-out pairs; no label has a part in them.", ""]
    lines += ["| | measured | without skill |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {chance} |" for name, value, chance in rows]
    lines += ["", "Captions of held-out images:", ""]
    return "\n".join([*lines, *(f"- {text or '(empty)'}" for text in captioner["examples"]), ""])


_LIMITS = """\
## Limits

- Made from this split alone, and small: of use for images and texts like it, of none for others.
- What is private in the split may be told by the models: make them from public data only.
- Their licence follows from that of the data.
"""


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"

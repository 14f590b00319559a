"""Writes the model card from the measured figures."""

from collections.abc import Mapping
from typing import Any

from fedmvp_assets.build.bars import bar_results

_INTRODUCTION = """\
# Model card: the embedded models of FedMVP on Flower

Three small models that let the whole method run on a laptop, offline, through the very classes
that real foundation models use. They know drawn flowers and nothing else.

- `models/encoder`, loaded by `open_clip.create_model_and_transforms("local-dir:...")`: image-text
  encoder. Vision transformer for 48 px (patch 8, width 128, 4 layers), causal text tower of 2
  layers, joint space of 128 dimensions.
- `models/captioner`, loaded by `transformers.BlipForConditionalGeneration`: captioner that
  continues a prompt. The same vision transformer, text decoder of 2 layers.
- `models/generator`, loaded by `diffusers.AutoPipelineForText2Image` (class PixArt): text-to-image.
  T5 encoder of 2 layers, transformer of 6 layers and width 160, on the 12 x 12 x 8 latents of an
  AutoencoderTiny.

Licence: Apache-2.0. All weights are safetensors in half precision; the tokenizer (one word, one
token) is shared.
"""

_RECIPE = """\
## Data and recipe

- Only procedural drawings of `fedmvp_flwr.data.sources.flora_render` with captions of
  `fedmvp_flwr.data.sources.flora`: 30,000 pictures for the training, 2,000 for the figures below.
- Every combination of visible attributes that a species of the data set Flora can show is
  excluded, and 120 further combinations are kept for the figures. So no training picture shows a
  client's flower, and no figure below is measured on a combination that was trained on.
- The names of the species occur in no training text and not in the vocabulary.
- Encoder: CLIP's contrastive loss, plus two losses that keep the token outputs telling (attributes
  from the image tokens, words from the text tokens).
- Captioner: next-word loss after the prompts "{coarse}", "{detailed}" and five
  questions, plus the attribute loss.
- Generator: flow matching in the latents, 10% empty prompts, moving average of the weights.
- Muon for the hidden matrices, AdamW for the rest, cosine schedule, gradient clipping; an hour and
  a half on two shared CPU cores in all.
- The image towers of encoder and captioner are the same network and were handed on: a short first
  run of the encoder started the captioner's, which started the final encoder's. The first run
  trained with AdamW alone.
- The autoencoder's decoder was trained on, with the latents as they were, while the generator
  trained.
- To make them again: `python -m fedmvp_assets.build` (`--only STAGE`, `--minutes M`, resumable).
  Budgets are in minutes, and the published files come from several runs of these stages: a new
  run gives like models, not the same bits.
"""

_LIMITS = """\
## Limits

- Useless on photographs, and on words outside their vocabulary of {words}.
- The captioner never mentions the scent, which cannot be seen. The number of petals is what all
  three models are least sure of.
- The judge is a classifier of our own, trained on drawings (and slightly blurred ones). It shares
  the drawing code with the models, though no weights.
- Meant for demonstrations, tests and the study of missing modalities, not as a benchmark of
  foundation models.
"""


def model_card(metrics: Mapping[str, Any]) -> str:
    """Return the card in Markdown.

    Args:
        metrics: what `python -m fedmvp_assets.build --only bars` measured.
    """
    from fedmvp_assets.build import words

    recipe = _RECIPE.format(coarse=words.COARSE_PROMPT, detailed=words.DETAILED_PROMPT)
    limits = _LIMITS.format(words=len(words.vocabulary()))
    return "\n".join([_INTRODUCTION, recipe, _figures(metrics), limits])


def _figures(metrics: Mapping[str, Any]) -> str:
    captioner, generator, encoder = (metrics[k] for k in ("captioner", "generator", "encoder"))
    judge, sizes = metrics["judge"], metrics["megabytes"]
    attributes = list(judge["drawn"])
    rows = [
        ("judge on drawings", judge["drawn"]),
        ("judge on autoencoded drawings", judge["autoencoded"]),
        ("generated, full prompts", generator["full-prompts"]),
        ("generated, the data set's partial captions", generator["partial-prompts"]),
        ("coarse captions, where named", captioner["coarse"]),
        ("detailed captions", captioner["detailed"]),
        ("answers to questions", captioner["answers"]),
    ]
    lines = [
        "## Figures",
        "",
        f"Measured by `python -m fedmvp_assets.build --only bars` with {metrics['threads']} CPU "
        f"thread(s); {captioner['pictures']} captions, {generator['pictures']} generated images, "
        f"{encoder['pairs']} pairs for the retrieval.",
        "",
        "| bar | asked | measured | |",
        "|---|---|---|---|",
    ]
    for name, (value, least) in bar_results(metrics).items():
        verdict = "met" if value >= least else "**missed**"
        lines.append(f"| {name} | {_figure(least)} | {_figure(value)} | {verdict} |")
    lines += [
        "",
        "Share of right values per attribute:",
        "",
        f"| | {' | '.join(attributes)} |",
        "|---" * (len(attributes) + 1) + "|",
    ]
    lines += [
        f"| {name} | {' | '.join(_percent(values[a]) for a in attributes)} |"
        for name, values in rows
    ]
    lines += [
        "",
        f"A coarse caption names {captioner['named-per-caption']:.1f} of the 5 visible attributes. "
        f"Text to image retrieval: R@5 {_percent(encoder['text-to-image-r5'])}. Mean absolute "
        f"error of the autoencoder: {judge['autoencoder-mean-absolute-error']:.3f} (pixels in "
        "[0, 1]).",
        "",
        f"Sizes: {', '.join(f'{name} {size:.1f} MB' for name, size in sizes.items())}, "
        f"{sum(sizes.values()):.1f} MB in all.",
        "",
    ]
    return "\n".join(lines)


def _figure(value: float) -> str:
    return _percent(value) if value <= 1 else f"{value:.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"

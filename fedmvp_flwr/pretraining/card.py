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
_TEMPLATE = """\
{%- macro percent(share) %}{{ "%.1f%%" | format(100 * share) }}{% endmacro -%}
{%- macro number(value) %}{{ "%.3f" | format(value) }}{% endmacro -%}
{%- macro words(values) %}
{%- for key, value in values.items() %}{{ key }} {{ value }}
{{- ", " if not loop.last }}{% endfor %}{% endmacro -%}
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
| source | `{{ data.dataset }}`, split `{{ data.split }}` |
| pairs learned from | {{ data.train }} |
| pairs held out for the figures | {{ data["held-out"] }} |
| skipped, because image or text is missing | {{ data.skipped }} |
| labels | {{ "used as targets" if data["labels-used"] else "not used" }} |
| SHA-256 of the digests learned from | `{{ data.hash }}` |
| SHA-256 of the digests held out | `{{ data["held-out-hash"] }}` |

## Recipe

Muon for the hidden matrices, AdamW for the rest, cosine schedule, gradient clipping,
moving average of the weights. Nothing was taken from any other model.

| trained | by | steps | minutes | last loss |
|---|---|---|---|---|
{%- for name, row in training.items() %}
| {{ name }} | {{ stages[name] }} | {{ row.steps }} | {{ "%.1f" | format(row.minutes) }} |
{{- " " ~ number(row.loss) }} |
{%- endfor %}

Shape: {{ words(shape) | replace("_", " ") }}. Vocabulary: {{ vocabulary }} tokens, byte-level BPE,
{{- " lower case," }}
learned from the texts. Seed {{ seed }}, device {{ device }}. {{ words(versions) }}.

## Figures

On the held-out pairs; no label has a part in them.

{%- set encoder, captioner = figures.encoder, figures.captioner %}
{%- set autoencoder, generator = figures.autoencoder, figures.generator %}
{%- set chance = percent(encoder["chance-r5"]) %}

| | measured | without skill |
|---|---|---|
{%- for what, measured, without in [
  ("image to text, R@5 of %d" % encoder.pairs, percent(encoder["image-to-text-r5"]), chance),
  ("text to image, R@5 of %d" % encoder.pairs, percent(encoder["text-to-image-r5"]), chance),
  ("captions: ROUGE-L with the image's text (%d)" % captioner.captions,
   number(captioner["rouge-l"]), number(captioner["rouge-l-of-another"]) ~ " (another image's)"),
  ("captions that differ", percent(captioner.distinct), ""),
  ("autoencoder: mean absolute error (%d images, pixels in [0, 1])" % autoencoder.images,
   number(autoencoder["mean-absolute-error"]),
   number(autoencoder["of-the-mean-image"]) ~ " (mean image)"),
  ("generated image to its text by the encoder above, R@5 of %d" % generator.images,
   percent(generator["image-to-text-r5"]), percent(generator["chance-r5"])),
] %}
| {{ what }} | {{ measured }} | {{ without }} |
{%- endfor %}

Captions of held-out images:

{% for text in captioner.examples -%}
- {{ text or "(empty)" }}
{% endfor %}
## Limits

- Made from this split alone, and small: of use for images and texts like it, of none for others.
- What is private in the split may be told by the models: make them from public data only.
- Their licence follows from that of the data.
"""


def model_card(report: Mapping[str, Any]) -> str:
    """Return the card in Markdown.

    Args:
        report: what `fedmvp_flwr.pretraining.pretrain.pretrain` returns.
    """
    from jinja2 import Environment, StrictUndefined  # torch needs it, too

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(_TEMPLATE).render(report, stages=_STAGES)

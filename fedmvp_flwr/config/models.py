"""Settings of the frozen foundation models."""

from pydantic import Field

from fedmvp_flwr.config.section import Section

_ENCODER = "`library:where`"
_GENERATIVE = "`library:where`, perhaps with options at the end: "


class ModelSettings(Section):
    """Which frozen models there are, and how much they are given; docs/models.md has the specs."""

    image_encoder: str = Field("open_clip:embedded", description=f"{_ENCODER}.")
    text_encoder: str = Field("open_clip:embedded", description=f"{_ENCODER}.")
    captioner: str = Field(
        "transformers:embedded", description=f"{_GENERATIVE}`?dtype=bf16&batch=8&max-tokens=40`."
    )
    image_generator: str = Field(
        "diffusers:embedded",
        description=f"{_GENERATIVE}`?steps=1&guidance=0&size=512&dtype=fp16&batch=4&offload=model`"
        ".",
    )
    image_grid: int = Field(
        3, ge=1, description="Image tokens are pooled to this many rows and columns."
    )
    text_max_tokens: int = Field(32, ge=1, description="Longer texts are cut.")
    foundation_batch_size: int = Field(128, ge=1, description="Samples per call of a frozen model.")

"""Settings of the frozen foundation models."""

from typing import Literal

from pydantic import Field

from fedmvp_flwr.config.section import Section

Dtype = Literal["fp32", "bf16", "fp16"]


class ModelSettings(Section):
    """Which frozen models there are, and how they are called."""

    # The encoders
    image_encoder: str = Field("open_clip:embedded", description="`library:name[:path]`.")
    text_encoder: str = Field("open_clip:embedded", description="`library:name[:path]`.")
    image_grid: int = Field(
        3, ge=1, description="Image tokens are pooled to this many rows and columns."
    )
    text_max_tokens: int = Field(32, ge=1, description="Longer texts are cut.")
    foundation_batch_size: int = Field(128, ge=1, description="Samples per call of a frozen model.")

    # The captioner
    captioner: str = Field("transformers:embedded", description="`library:name[:path]`.")
    captioner_dtype: Dtype = Field("fp32", description="Type that the captioner computes in.")
    captioner_batch_size: int = Field(
        0, ge=0, description="Images per call of the captioner; 0: `foundation-batch-size`."
    )
    captioner_max_tokens: int = Field(
        0, ge=0, description="Longest caption or answer in tokens; 0: the adapter's default."
    )

    # The image generator
    image_generator: str = Field("diffusers:embedded", description="`library:name[:path]`.")
    generator_steps: int = Field(
        0,
        ge=0,
        description="Sampling steps; 0: what the model's `fedmvp.json` says, else the default of "
        "its diffusers pipeline (50 for Stable Diffusion; SD-Turbo and SDXL-Turbo need 1).",
    )
    generator_guidance: float = Field(
        -1.0,
        ge=-1,
        description="Guidance scale; -1: what the model's `fedmvp.json` says, else the default of "
        "its diffusers pipeline (7.5 for Stable Diffusion; SD-Turbo and SDXL-Turbo need 0).",
    )
    generator_dtype: Dtype = Field("fp32", description="Type that the generator computes in.")
    generator_batch_size: int = Field(
        0, ge=0, description="Images per call of the generator; 0: `foundation-batch-size`."
    )
    generator_size: int = Field(
        0, ge=0, description="Height and width in pixels; 0: the model's own default."
    )
    generator_offload: Literal["none", "model", "sequential"] = Field(
        "none",
        description="Keep the generator in main memory and move to the GPU one `model` or layer "
        "after layer (`sequential`) as needed; takes the package accelerate.",
    )

    @property
    def captions_at_once(self) -> int:
        """Images per call of the captioner."""
        return self.captioner_batch_size or self.foundation_batch_size

    @property
    def images_at_once(self) -> int:
        """Prompts per call of the image generator."""
        return self.generator_batch_size or self.foundation_batch_size

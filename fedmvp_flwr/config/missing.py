"""Settings of the holes: which samples lack the image or the text."""

from pydantic import Field

from fedmvp_flwr.config.section import Section


class MissingSettings(Section):
    """Which samples lack a modality, for training and for testing."""

    missing_ratio: float = Field(
        0.8, ge=0, le=1, description="Share of a client's samples that lack one modality."
    )
    missing_image_share: float = Field(
        0.5, ge=0, le=1, description="Share of those that lack the image; the others lack the text."
    )
    missing_pattern: str = Field(
        "random",
        description="Which samples lose a modality, with a number or a path after the colon where "
        "the pattern takes one: docs/data.md.",
    )
    test_missing_pattern: str = Field(
        "random",
        description="The same for the test samples, with `test-missing-ratio`. `file:PATH` counts "
        "at ratio 0, too; `client` hits the clients of `missing-pattern` only with the same ratio.",
    )
    test_missing_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the test samples that lack one modality; `missing-image-share` of "
        "those lack the image.",
    )

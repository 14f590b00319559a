"""Settings of the holes: which samples lack the image or the text."""

from pydantic import Field, field_validator

from fedmvp_flwr.config.section import Section


class MissingSettings(Section):
    """Which samples lack a modality, for training and for testing."""

    missing_ratio: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Share of the owners that lack one modality altogether; of the classes, or of "
        "each owner's samples, with another `missing-pattern`.",
    )
    missing_image_share: float = Field(
        0.5, ge=0, le=1, description="Share of those that lack the image; the others lack the text."
    )
    missing_pattern: str = Field(
        "owner",
        description="Who lacks a modality: `owner` (whole owners), `class` (whole classes, "
        "everywhere), `random` (single samples), `content`, `real`, `file:PATH`: docs/data.md.",
    )
    test_missing_pattern: str = Field(
        "random",
        description="The same for the test samples, with `test-missing-ratio`. `file:PATH` counts "
        "at ratio 0, too; `owner` hits the owners of `missing-pattern` only with the same ratio.",
    )
    test_missing_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the test samples that lack one modality; `missing-image-share` of "
        "those lack the image.",
    )

    @field_validator("missing_pattern", "test_missing_pattern")
    @classmethod
    def _has_todays_name(cls, value: str) -> str:
        if value == "client":
            raise ValueError("is called 'owner' now")
        return value

"""Settings of the holes: which samples lack the image or the text."""

from pydantic import Field, field_validator

from fedmvp_flwr.config.section import Section, one_of

_PATTERNS = ("class", "client", "content", "random", "real")
_PATTERNS_WITH_NAME = ("file",)


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
        description="Which samples lose a modality: `random`, `class`, `client`, `content`, `real` "
        "(none but real holes) or `file:PATH`, a saved mask.",
    )
    missing_strength: float = Field(
        2.0, ge=0, description="How much `class` and `content` differ from chance; 0: not at all."
    )
    test_missing_pattern: str = Field(
        "random", description="The same for the test samples, with `test-missing-ratio`."
    )
    test_missing_ratio: float = Field(
        0.0, ge=0, le=1, description="Share of the test samples that lack one modality."
    )

    @field_validator("missing_pattern", "test_missing_pattern")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        return one_of(value, _PATTERNS, _PATTERNS_WITH_NAME)

"""Settings of the holes: which samples lack the image or the text."""

from typing import NamedTuple

from pydantic import Field, field_validator

from fedmvp_flwr.config.section import Section, one_of

_PATTERNS = ("class", "client", "content", "random", "real")
_PATTERNS_WITH_NAME = ("file",)


class Holes(NamedTuple):
    """What holes are to be made.

    Attributes:
        pattern: by which rule.
        ratio: share of the samples that lack one modality, in [0, 1].
        image_share: share of those that lack the image, in [0, 1].
        strength: how much `class` and `content` differ from chance, at least 0.
    """

    pattern: str
    ratio: float
    image_share: float
    strength: float


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
        "random",
        description="The same for the test samples, with `test-missing-ratio`. `file:PATH` counts "
        "at ratio 0, too; `client` hits the clients of `missing-pattern` only with the same "
        "ratio.",
    )
    test_missing_ratio: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the test samples that lack one modality; `missing-image-share` of "
        "those lack the image.",
    )
    test_missing_strength: float = Field(
        -1.0, ge=-1, description="As `missing-strength`, for the test samples; -1: the same."
    )

    @field_validator("missing_pattern", "test_missing_pattern")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        return one_of(value, _PATTERNS, _PATTERNS_WITH_NAME)

    @field_validator("test_missing_strength")
    @classmethod
    def _check_as_in_training(cls, value: float) -> float:
        if -1 < value < 0:
            raise ValueError(f"must be -1 (as in training) or at least 0, got {value}.")
        return value

    @property
    def training_holes(self) -> Holes:
        """The holes of the training samples."""
        return Holes(
            self.missing_pattern,
            self.missing_ratio,
            self.missing_image_share,
            self.missing_strength,
        )

    @property
    def test_holes(self) -> Holes:
        """The holes of the test samples."""
        strength = self.test_missing_strength
        return Holes(
            self.test_missing_pattern,
            self.test_missing_ratio,
            self.missing_image_share,
            self.missing_strength if strength < 0 else strength,
        )

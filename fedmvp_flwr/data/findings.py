"""What was found wrong with a data set: collected, counted, named, then refused or skipped."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedmvp_flwr.errors import DataError

MISSING_FILE = "missing file"
OUTSIDE = "path out of the folder"
BROKEN_IMAGE = "image that cannot be decoded"
BOMB = "image with too many pixels"
BROKEN_LINE = "broken line"
EMPTY = "sample without image and text"
NO_LABEL = "sample without label"
UNKNOWN_LABEL = "unknown label"
DUPLICATE = "duplicate id"
LONG_TEXT = "text that is too long"
BROKEN_TEXT = "text that is no valid Unicode"
BAD_KINDS = (
    BROKEN_LINE,
    MISSING_FILE,
    OUTSIDE,
    BROKEN_IMAGE,
    BOMB,
    NO_LABEL,
    UNKNOWN_LABEL,
    DUPLICATE,
    LONG_TEXT,
    BROKEN_TEXT,
    EMPTY,
)

NO_IMAGE = "no image (a hole)"
NO_TEXT = "no text (a hole)"
ROTATED = "rotated by EXIF"
CONVERTED = "converted to RGB"
ANIMATED = "animated, first frame used"
UNUSED = "in a split that is not used"

_SHOWN = 20  # of each kind, in a message


@dataclass
class Findings:
    """Bad samples and harmless peculiarities of one data set.

    Attributes:
        source: the data set, as the user named it.
        bad: by kind, one line for each bad sample: where it is, and what is wrong.
        notes: by kind, how many samples; nothing that would have to be repaired.
    """

    source: str
    bad: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, where: str, what: str = "") -> None:
        """Record a bad sample, for example ("missing file", "metadata.csv:7", "'a.png'")."""
        self.bad.setdefault(kind, []).append(f"{where}: {what}" if what else where)

    def note(self, kind: str) -> None:
        """Count a peculiarity."""
        self.notes[kind] = self.notes.get(kind, 0) + 1

    @property
    def num_bad(self) -> int:
        """Number of bad samples, all kinds together."""
        return sum(map(len, self.bad.values()))

    def lines(self, shown: int = _SHOWN) -> list[str]:
        """One line per kind of bad sample, with the places of the first `shown`."""
        return [
            f"{len(self.bad[kind])} x {kind}: {_shorten(self.bad[kind], shown)}"
            for kind in BAD_KINDS
            if kind in self.bad
        ]

    def refuse_if(self, policy: str) -> None:
        """Raise a DataError that lists everything bad, unless the policy is to skip it."""
        if self.bad and policy != "skip":
            listed = "\n  ".join(self.lines())
            raise DataError(
                f"dataset='{self.source}' has {self.num_bad} bad sample(s). Repair or remove "
                f"them, or leave them out with bad-samples='skip'.\n  {listed}"
            )

    def record(self) -> dict[str, Mapping[str, object] | str]:
        """Everything, as JSON values."""
        return {"source": self.source, "bad": dict(self.bad), "notes": dict(self.notes)}


def _shorten(items: list[str], shown: int) -> str:
    more = len(items) - shown
    return "; ".join(items[:shown]) + (f"; and {more} more" if more > 0 else "")

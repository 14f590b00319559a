"""What was found wrong with a data set: collected, counted, named, then refused or skipped."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import save_record
from fedmvp_flwr.data.reading.cells import printable

MISSING_FILE = "missing file"
OUTSIDE = "path out of the folder"
BROKEN_IMAGE = "image that cannot be decoded"
BOMB = "image with too many pixels"
BROKEN_LINE = "broken line"
EMPTY = "sample without image and text"
NO_LABEL = "sample without label"
UNKNOWN_LABEL = "unknown label"
NO_SPLIT = "sample without split, although others have one"
DUPLICATE = "duplicate id"
LONG_TEXT = "text that is too long"
NO_CELL = "cell of a type that cannot be used"
NO_COLUMN = "column that no row has"
BROKEN_TEXT = "text that is no valid Unicode"
CONTRADICTION = "image with several labels, splits or owners"
NO_IMAGE_NAME = "row without the name of its image"

NO_IMAGE = "no image (a hole)"
NO_TEXT = "no text (a hole)"
ROTATED = "rotated by EXIF"
SPLIT_BY_FOLDER = "split told by the folder of the image"
UNUSED_SPLIT = "in a split that nobody uses"
CLOSED_FOLDER = "folder that cannot be opened, taken for one without metadata"
CONVERTED = "converted to RGB"
ANIMATED = "animated, first frame used"
UNLABELLED = "left out: no object that gives a label"

_FOLDER = "bad-samples"
SHOWN = 20  # of each kind, in a message


@dataclass
class Findings:
    """Bad samples and harmless peculiarities of one data set.

    Names that are no valid Unicode, as those of files may be, are kept escaped.

    Attributes:
        source: the data set, as the user named it.
        cache: folder of the feature store, which keeps the list of bad samples and what the
            checks of images found; None keeps nothing.
        bad: by kind, one line for each bad sample: where it is, and what is wrong.
        notes: by kind, how many samples; nothing that would have to be repaired.
        saved: file with the whole list of bad samples, once there is one.
    """

    source: str
    cache: Path | None = None
    bad: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    saved: str = ""

    def __post_init__(self) -> None:
        self.source = printable(self.source)

    def add(self, kind: str, where: str, what: str = "") -> None:
        """Record a bad sample, for example ("missing file", "metadata.csv:7", "'a.png'")."""
        self.bad.setdefault(kind, []).append(printable(f"{where}: {what}" if what else where))

    def note(self, kind: str) -> None:
        """Count a peculiarity."""
        kind = printable(kind)
        self.notes[kind] = self.notes.get(kind, 0) + 1

    @property
    def num_bad(self) -> int:
        """Number of bad samples, all kinds together."""
        return sum(map(len, self.bad.values()))

    def lines(self) -> list[str]:
        """One line per kind of bad sample, with the places of the first `SHOWN`."""
        return [f"{len(bad)} x {kind}: {_shorten(bad)}" for kind, bad in self.bad.items()]

    def refuse_if(self, policy: str) -> None:
        """Raise a DataError that lists everything bad, unless the policy is to skip it.

        A column that is not there is no matter of single samples, and never skipped.

        Args:
            policy: `refuse` or `skip`.
        """
        if not self.bad:
            return
        if self.cache:
            with suppress(OSError):  # a folder that cannot be written is the preflight's to report
                digest = save_record(self.cache / _FOLDER, self.record())
                self.saved = str(self.cache / _FOLDER / f"{digest}.json")
        if policy != "skip" or NO_COLUMN in self.bad:
            listed = "\n  ".join(self.lines())
            what = (
                "lacks a column in its metadata. Name it or add it as said below; "
                "bad-samples='skip' is no way around."
                if NO_COLUMN in self.bad
                else f"has {self.num_bad} bad sample(s). Repair or remove them, or leave them out "
                "with bad-samples='skip'."
            )
            raise DataError(f"dataset='{self.source}' {what}\n  {listed}{self._where()}")

    def summary(self) -> list[str]:
        """Lines about everything that was found, for somebody who goes on with the data."""
        lines = [f"{count} x {kind}" for kind, count in sorted(self.notes.items())]
        if self.bad:
            lines.append(f"{self.num_bad} bad sample(s) left out:{self._where()}")
            lines += self.lines()
        return lines

    def _where(self) -> str:
        return f"\n  All of them: {self.saved}" if self.saved else ""

    def record(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {"source": self.source, "bad": dict(self.bad), "notes": dict(self.notes)}


def _shorten(items: list[str]) -> str:
    more = len(items) - SHOWN
    return "; ".join(items[:SHOWN]) + (f"; and {more} more" if more > 0 else "")

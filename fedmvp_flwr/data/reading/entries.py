"""What every source hands over: entries with their places, from which samples are made.

Here the texts are cleaned and chosen, the labels are turned into classes, and whatever is wrong
with a sample is found, whichever source it came from.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.cells import BadCell, as_label, as_texts, printable
from fedmvp_flwr.data.reading.class_words import class_word_mask
from fedmvp_flwr.data.reading.classes import (
    Classes,
    classes_of,
    describe,
    named_classes,
    read_classes,
)
from fedmvp_flwr.data.reading.entry_labels import LabelFinder
from fedmvp_flwr.data.reading.entry_texts import choose_text, is_encodable
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.reading.images import FileImage, TableImage
from fedmvp_flwr.data.reading.splits import choose_splits

__all__ = [  # with what a source needs to make entries
    "Classes",
    "Entry",
    "LoadedDataset",
    "as_label",
    "build_dataset",
    "choose_text",
    "describe",
    "named_classes",
    "printable",
    "read_classes",
]
_LOG = logging.getLogger(__name__)
Image = FileImage | TableImage
_LONGEST_TEXT = 100_000  # characters


@dataclass(frozen=True)
class Entry:
    """One sample as a source found it.

    Attributes:
        where: file and line, or row, for messages.
        key: unique within the data set; as label, split and owner a `BadCell` for what is none.
        label: class name or number; None if there is none.
        image: the image, or None.
        texts: its texts, any number; empty ones count as none.
        split: name of its split, or None.
        owner: value of the column that `partition='column:NAME'` deals by.
    """

    where: str
    key: str
    label: str | None
    image: Image | None
    texts: tuple[object, ...] = ()
    split: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class LoadedDataset:
    """A data set in memory; images are decoded on demand (see `fedmvp_flwr.base.samples.Dataset`).

    Attributes:
        class_names: names in the order of the labels.
        class_descriptions: one public line per class.
        splits: samples by split: `train`, `test`, and the others under their own names.
        findings: what was found wrong or peculiar.
    """

    class_names: tuple[str, ...]
    class_descriptions: tuple[str, ...]
    splits: Mapping[str, Sequence[Sample]]
    findings: Findings = field(compare=False)


def build_dataset(
    entries: Sequence[Entry],
    data: DataSettings,
    findings: Findings,
    classes: Classes | None = None,
) -> LoadedDataset:
    """Make samples of entries; find, then refuse or skip, what is wrong with them.

    Args:
        entries: everything that the source found, in a stable order.
        data: caption choice, splits, limits, and what to do with bad samples.
        findings: what the source itself found so far.
        classes: the classes that the labels must be of; None: those of `class-names-file`, or
            the labels that there are.

    Raises:
        DataError: bad samples, unless they are to be skipped; no sample is left; the splits are
            not there.
    """
    good = _with_texts(entries, data, findings)
    classes = classes or read_classes(data) or _classes_of(good)
    if data.mask_class_words:
        mask = class_word_mask(classes.names)
        good = [(entry, text if text is None else mask(text)) for entry, text in good]
    finder = LabelFinder(classes.names, findings)
    has_splits = any(entry.split for entry in entries)
    seen: dict[str, str] = {}
    kept: list[tuple[Sample, str | None]] = []
    for entry, text in good:
        if bad := _bad_cell(entry):
            findings.add(found.NO_CELL, entry.where, f"{bad} is no name or number")
        elif (label := finder.find(entry.label, entry.where)) is None:
            continue
        elif has_splits and not entry.split:
            findings.add(found.NO_SPLIT, entry.where)
        elif entry.key in seen:
            first = seen[entry.key]
            findings.add(found.DUPLICATE, entry.where, f"'{entry.key}' is also in {first}")
        else:
            seen[entry.key] = entry.where
            sample = Sample(entry.key, label, entry.image, text, entry.owner)
            kept.append((sample, entry.split))
    findings.refuse_if(data.bad_samples)
    if findings.bad:
        _LOG.warning("%s", "\n  ".join(findings.summary()))
    if not kept:
        raise DataError(f"dataset='{findings.source}' has no usable sample.")
    for sample, _ in kept:
        _take_notes(sample, findings)
    splits = choose_splits(kept, data, findings.source)
    used = {sample.key for samples in splits.values() for sample in samples}
    for sample, split in kept:
        if sample.key not in used:
            findings.note(f"{found.UNUSED_SPLIT}: '{split}'")
    return LoadedDataset(classes.names, classes.descriptions, splits, findings)


def _classes_of(good: Sequence[tuple[Entry, str | None]]) -> Classes:
    labels = (entry.label for entry, _ in good)
    return classes_of(x for x in labels if x is not None and not isinstance(x, BadCell))


def _bad_cell(entry: Entry) -> str:
    """What cannot be a name of those that an entry needs besides its label, or ""."""
    cells = {"id": entry.key, "split": entry.split, "owner": entry.owner}
    bad = [f"{name} {cell}" for name, cell in cells.items() if isinstance(cell, BadCell)]
    return bad[0] if bad else ""


def _with_texts(
    entries: Sequence[Entry], data: DataSettings, findings: Findings
) -> list[tuple[Entry, str | None]]:
    """Entries that can be used, each with its text."""
    result = []
    for entry in entries:
        try:
            texts = [t for cell in entry.texts for t in as_texts(cell)]
        except DataError as error:
            findings.add(found.NO_CELL, entry.where, str(error))
            continue
        if bad := next((t for t in texts if not is_encodable(t)), None):
            findings.add(found.BROKEN_TEXT, entry.where, printable(bad)[:60])
            continue
        texts = [stripped for t in texts if (stripped := t.strip())]
        text = choose_text(texts, entry.key, data)
        if entry.image and (known := entry.image.known) and known.problem:
            kind = found.BOMB if known.bomb else found.BROKEN_IMAGE
            findings.add(kind, entry.where, f"'{entry.image.name}' ({known.problem})")
        elif text is not None and len(text) > _LONGEST_TEXT:
            findings.add(
                found.LONG_TEXT,
                entry.where,
                f"{len(text)} characters, at most {_LONGEST_TEXT:,}",
            )
        elif entry.image is None and text is None:
            findings.add(found.EMPTY, entry.where)
        else:
            result.append((entry, text))
    return result


def _take_notes(sample: Sample, findings: Findings) -> None:
    if sample.text is None:
        findings.note(found.NO_TEXT)
    if not isinstance(sample.image, Image):
        findings.note(found.NO_IMAGE)
    elif known := sample.image.known:
        if known.rotated:
            findings.note(found.ROTATED)
        if known.animated:
            findings.note(found.ANIMATED)
        if known.converted:
            findings.note(f"{found.CONVERTED} from {known.converted}")

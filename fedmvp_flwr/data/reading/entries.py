"""What every source hands over: entries with their places, from which samples are made.

Here the texts are cleaned and chosen, the labels are turned into classes, and whatever is wrong
with a sample is found, whichever source it came from.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.cells import BadCell, as_texts, printable, same_name
from fedmvp_flwr.data.reading.class_words import class_word_mask
from fedmvp_flwr.data.reading.classes import Classes, class_index, classes_of, read_classes
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.reading.image_checks import CheckedImage
from fedmvp_flwr.data.reading.splits import choose_splits

_LOG = logging.getLogger(__name__)
_LONGEST_TEXT = 100_000  # characters
_LONGEST_LABEL = 60  # characters that are compared and shown


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
    image: CheckedImage | None
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
        data: class names, caption choice, splits, and what to do with bad samples.
        findings: what the source itself found so far.
        classes: the classes that the labels must be of, where no `class-names-file` is set; None:
            the labels that there are.

    Raises:
        DataError: bad samples, unless they are to be skipped; no sample is left; the splits are
            not there.
    """
    good = _with_texts(entries, data, findings)
    classes = read_classes(data) or classes or _classes_of(good)
    mask = class_word_mask(classes.names) if data.mask_class_words else str
    class_of = _label_finder(classes.names, findings)
    has_splits = any(entry.split for entry in entries)
    seen: dict[str, str] = {}
    kept: list[tuple[Sample, str | None]] = []
    for entry, text in good:
        cells = {"id": entry.key, "split": entry.split, "owner": entry.owner, "label": entry.label}
        bad = [f"{name} {cell}" for name, cell in cells.items() if isinstance(cell, BadCell)]
        if bad:
            findings.add(found.NO_CELL, entry.where, f"{bad[0]} is no name or number")
        elif (label := class_of(entry.label, entry.where)) is None:
            continue
        elif has_splits and not entry.split:
            findings.add(found.NO_SPLIT, entry.where)
        elif entry.key in seen:
            first = seen[entry.key]
            findings.add(found.DUPLICATE, entry.where, f"'{entry.key}' is also in {first}")
        else:
            seen[entry.key] = entry.where
            own = text if text is None else mask(text)
            sample = Sample(entry.key, label, entry.image, own, entry.owner)
            kept.append((sample, entry.split))
    findings.refuse_if(data.bad_samples)
    if findings.bad:
        _LOG.warning("%s", "\n  ".join(findings.summary()))
    if not kept:
        raise DataError(f"dataset='{findings.source}' has no usable sample.")
    splits = choose_splits(kept, data, findings.source)
    used = {sample.key for samples in splits.values() for sample in samples}
    for sample, split in kept:
        _take_notes(sample, findings)
        if sample.key not in used:
            findings.note(f"{found.UNUSED_SPLIT}: '{split}'")
    return LoadedDataset(classes.names, classes.descriptions, splits, findings)


def _classes_of(good: Sequence[tuple[Entry, str | None]]) -> Classes:
    labels = (entry.label for entry, _ in good)
    return classes_of(x for x in labels if x is not None and not isinstance(x, BadCell))


def _label_finder(
    names: Sequence[str], findings: Findings
) -> Callable[[str | None, str], int | None]:
    """Return what finds the class of a label, or adds a finding.

    The nearest class is looked for once for each unknown label, and for no more labels than
    messages show: comparing thousands with all classes would take minutes.

    Raises:
        DataError: two classes look the same.
    """
    index = class_index(names, f"dataset='{findings.source}'")
    hints: dict[str, str] = {}

    def find(label: str | None, where: str) -> int | None:
        if label is None:
            findings.add(found.NO_LABEL, where)
            return None
        number = index.get(same_name(label))
        if number is None:
            shown = label[:_LONGEST_LABEL]
            if label not in hints and len(hints) < found.SHOWN:
                hints[label] = did_you_mean(shown, names)
            what = f"'{shown}' is none of the {len(names)} classes{hints.get(label, '')}"
            findings.add(found.UNKNOWN_LABEL, where, what)
        return number

    return find


def _with_texts(
    entries: Sequence[Entry], data: DataSettings, findings: Findings
) -> list[tuple[Entry, str | None]]:
    """Entries that can be used, each with its text."""
    result = []
    for entry in entries:
        try:
            texts = [t.strip() for cell in entry.texts for t in as_texts(cell)]
        except DataError as error:
            findings.add(found.NO_CELL, entry.where, str(error))
            continue
        if bad := next((t for t in texts if t != printable(t)), None):
            findings.add(found.BROKEN_TEXT, entry.where, bad[:60])
            continue
        text = _choose_text([t for t in texts if t], entry.key, data)
        if entry.image and entry.image.check.problem:
            kind = found.BOMB if entry.image.check.bomb else found.BROKEN_IMAGE
            what = f"'{entry.image.name}' ({entry.image.check.problem})"
            findings.add(kind, entry.where, what)
        elif text is not None and len(text) > _LONGEST_TEXT:
            what = f"{len(text)} characters, at most {_LONGEST_TEXT:,}"
            findings.add(found.LONG_TEXT, entry.where, what)
        elif entry.image is None and text is None:
            findings.add(found.EMPTY, entry.where)
        else:
            result.append((entry, text))
    return result


def _choose_text(texts: Sequence[str], key: str, data: DataSettings) -> str | None:
    """The text of a sample out of several, by the setting `captions`; None if there is none."""
    if not texts:
        return None
    if data.captions == "joined":
        return " ".join(texts)
    chosen = seed_for(data.data_seed, "caption", key) if data.captions == "sampled" else 0
    return texts[chosen % len(texts)]


def _take_notes(sample: Sample, findings: Findings) -> None:
    if sample.text is None:
        findings.note(found.NO_TEXT)
    if not isinstance(sample.image, CheckedImage):
        findings.note(found.NO_IMAGE)
        return
    check = sample.image.check
    if check.rotated:
        findings.note(found.ROTATED)
    if check.animated:
        findings.note(found.ANIMATED)
    if check.converted:
        findings.note(f"{found.CONVERTED} from {check.converted}")

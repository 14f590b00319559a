"""Which columns of a table are which, and whether they are there."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.nearest import nearest
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.dealing.partition import owner_column
from fedmvp_flwr.data.reading.cells import as_label
from fedmvp_flwr.data.reading.csv_text import Row
from fedmvp_flwr.data.reading.entries import Entry
from fedmvp_flwr.data.reading.findings import NO_COLUMN, Findings
from fedmvp_flwr.data.reading.image_checks import CheckedImage
from fedmvp_flwr.data.reading.tables import require_columns

IMAGE_COLUMN, TEXT_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "file_name", "text", "label", "split"
NONE = "none"  # as image-column or text-column: there is none, on purpose
COLUMN_KEYS = (
    "image-column",
    "text-column",
    "label-column",
    "split-column",
    "id-column",
    "partition",
)
"""The settings that name columns."""

# What others call these columns, in lower case.
_IMAGE_NAMES = ("image", "path", "filename", "file", "image_path", "image_name", "img", "photo")
_TEXT_NAMES = ("caption", "captions", "texts", "description", "comment", "sentence", "report")
_WITHOUT = (
    " To train with fewer images or texts, set missing-ratio and missing-image-share; data that "
    "has no image, or no text, is for dataset='folder:PATH'."
)


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None for those that there are not to be.

    Attributes:
        required: by setting, those that have to be there: the label's, and all that are named.
    """

    image: str | None
    text: str | None
    label: str
    split: str
    id: str | None
    owner: str | None
    required: Mapping[str, str]

    @property
    def names(self) -> set[str]:
        """All of them."""
        own = (self.image, self.text, self.label, self.split, self.id, self.owner)
        return {name for name in own if name}

    def entry(self, row: Row, key: str, image: CheckedImage | None, **own: Any) -> Entry:  # noqa: ANN401
        """The sample of a row.

        Args:
            row: of a table.
            key: its key.
            image: its image.
            own: fields of the entry that the columns do not tell.
        """
        cells = row.cells
        entry = Entry(
            where=row.where,
            key=key,
            label=as_label(cells.get(self.label)),
            image=image,
            texts=(cells.get(self.text),) if self.text else (),
            split=as_label(cells.get(self.split)),
            owner=as_label(cells.get(self.owner)) if self.owner else None,
        )
        return replace(entry, **own)


def columns_of(
    data: DataSettings,
    image: str = IMAGE_COLUMN,
    text: str = TEXT_COLUMN,
    label: str = LABEL_COLUMN,
) -> Columns:
    """The columns that the settings name, or the source's own.

    Args:
        data: the settings that name columns.
        image: the source's own name of the column of images.
        text: that of the texts.
        label: that of the labels.

    Raises:
        DataError: there are to be neither images nor texts.
    """
    named = _named(data)
    if data.image_column == data.text_column == NONE:
        raise DataError(
            f"image-column='{NONE}' and text-column='{NONE}': a sample needs an image or a text. "
            f"Set at most one of the two to '{NONE}'."
        )
    named["label-column"] = data.label_column or label
    return Columns(
        image=None if data.image_column == NONE else data.image_column or image,
        text=None if data.text_column == NONE else data.text_column or text,
        label=named["label-column"],
        split=data.split_column or SPLIT_COLUMN,
        id=data.id_column or None,
        owner=named["partition"] or None,
        required={key: column for key, column in named.items() if column not in ("", NONE)},
    )


def _named(data: DataSettings) -> dict[str, str]:
    """By setting the column that it names, or nothing."""
    columns = (
        data.image_column,
        data.text_column,
        data.label_column,
        data.split_column,
        data.id_column,
        owner_column(data.partition),
    )
    return dict(zip(COLUMN_KEYS, columns, strict=True))


def refuse_columns(
    data: DataSettings, used: Collection[str] | None, optional: Collection[str]
) -> None:
    """Refuse settings that name a column which the source does not read.

    Args:
        data: the settings.
        used: those that the source reads, of `COLUMN_KEYS`; None: whatever is named is left to the
            nodes.
        optional: those of them that may be 'none'.

    Raises:
        DataError: names every such setting.
    """
    given = _named(data)
    none = [key for key in COLUMN_KEYS[:2] if given[key] == NONE and key not in optional]
    given["partition"] = given["partition"] and data.partition
    read = COLUMN_KEYS if used is None else used
    unread = [key for key in COLUMN_KEYS if given[key] and (key not in read or key in none)]
    if unread:
        columns = [key for key in COLUMN_KEYS[:-1] if key in (used or ()) and key not in none]
        what = (
            f"of the columns only {', '.join(columns)} can be chosen"
            if columns
            else "its files have no columns to choose"
        )
        wrong = ", ".join(f"{key}='{given[key]}'" for key in unread)
        raise DataError(
            f"dataset='{data.dataset}' does not take {wrong}: {what}. Leave it out."
            + (_WITHOUT if none else "")
        )


def check_columns(there: Sequence[str], columns: Columns, name: str, findings: Findings) -> None:
    """Look whether the columns are there.

    Args:
        there: the columns of one table.
        columns: what the settings name.
        name: how messages name the file.
        findings: takes columns of images and texts that no setting names.

    Raises:
        DataError: a column that a setting names, or the label's, is not there.
    """
    require_columns(there, columns.required, name)
    for key, column, others in (
        ("image-column", columns.image, _IMAGE_NAMES),
        ("text-column", columns.text, _TEXT_NAMES),
    ):
        if there and column and key not in columns.required and column not in there:
            near = _nearest(column, others, there)
            found = f" Did you mean {key}='{near}'?" if near else f" Name it by {key}."
            findings.add(
                NO_COLUMN,
                name,
                f"'{column}'; it has {sorted(there)}.{found} If there is none on purpose, set "
                f"{key}='{NONE}', or write the column with null in it",
            )


def _nearest(column: str, others: Sequence[str], there: Sequence[str]) -> str | None:
    used = {LABEL_COLUMN, SPLIT_COLUMN, IMAGE_COLUMN, TEXT_COLUMN}
    free = {name.lower(): name for name in there if name not in used}
    known = next((free[other] for other in (column, *others) if other in free), None)
    near = nearest(column, free)
    return known or (free[near] if near else None)

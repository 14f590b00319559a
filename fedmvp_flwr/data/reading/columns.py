"""Which columns of a table are which, and whether they are there."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.nearest import nearest
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.reading.findings import NO_COLUMN, Findings
from fedmvp_flwr.data.reading.tables import Row, require_columns

IMAGE_COLUMN, TEXT_COLUMN, LABEL_COLUMN, SPLIT_COLUMN = "file_name", "text", "label", "split"
NONE = "none"  # as image-column or text-column: there is none, on purpose
# What others call these columns, in lower case.
_IMAGE_NAMES = ("image", "path", "filename", "file", "image_path", "image_name", "img", "photo")
_TEXT_NAMES = ("caption", "captions", "texts", "description", "comment", "sentence", "report")


@dataclass(frozen=True)
class Columns:
    """Names of the columns; None for those that there are not to be."""

    image: str | None
    text: str | None
    label: str
    split: str
    id: str | None
    owner: str | None


def columns_of(config: RunConfig, image: str = IMAGE_COLUMN) -> Columns:
    """The columns that the settings name, or the source's own.

    Args:
        config: the settings that name columns.
        image: the source's own name of the column of images.

    Raises:
        DataError: there are to be neither images nor texts.
    """
    if config.data.image_column == config.data.text_column == NONE:
        raise DataError(
            f"image-column='{NONE}' and text-column='{NONE}': a sample needs an image or a text. "
            f"Set at most one of the two to '{NONE}'."
        )
    return Columns(
        image=_chosen(config.data.image_column, image),
        text=_chosen(config.data.text_column, TEXT_COLUMN),
        label=config.data.label_column or LABEL_COLUMN,
        split=config.data.split_column or SPLIT_COLUMN,
        id=config.data.id_column or None,
        owner=config.data.owner_column or None,
    )


def check_columns(rows: Sequence[Row], config: RunConfig, name: str, findings: Findings) -> None:
    """Look whether the columns are in at least one row; a cell that is null counts.

    Args:
        rows: of one metadata file.
        config: the settings that name columns.
        name: how messages name the file.
        findings: takes columns of images and texts that no setting names.

    Raises:
        DataError: a column that a setting names, or the label's, is in no row.
    """
    columns = columns_of(config)
    wanted = {"label-column": columns.label}
    named = {
        "image-column": columns.image if config.data.image_column else None,
        "text-column": columns.text if config.data.text_column else None,
        "split-column": config.data.split_column,
        "id-column": columns.id,
        "partition": columns.owner,
    }
    require_columns(rows, wanted | {key: column for key, column in named.items() if column}, name)
    there = sorted({column for row in rows for column in row.cells})
    for key, setting, column, others in (
        ("image-column", config.data.image_column, IMAGE_COLUMN, _IMAGE_NAMES),
        ("text-column", config.data.text_column, TEXT_COLUMN, _TEXT_NAMES),
    ):
        if not setting and column not in there:
            near = _nearest(column, others, there)
            found = f" Did you mean {key}='{near}'?" if near else f" Name it by {key}."
            findings.add(
                NO_COLUMN,
                name,
                f"'{column}'; it has {there}.{found} {none_on_purpose(key)}, or write the column "
                "with null in it",
            )


def none_on_purpose(key: str) -> str:
    """How to say, by `image-column` or `text-column`, that there is none; no full stop."""
    return f"If there is none on purpose, set {key}='{NONE}'"


def _chosen(setting: str, own: str) -> str | None:
    return None if setting == NONE else setting or own


def _nearest(column: str, others: Sequence[str], there: Sequence[str]) -> str | None:
    used = {LABEL_COLUMN, SPLIT_COLUMN, IMAGE_COLUMN, TEXT_COLUMN}
    free = {name.lower(): name for name in there if name not in used}
    known = next((free[other] for other in (column, *others) if other in free), None)
    near = nearest(column, free)
    return known or (free[near] if near else None)

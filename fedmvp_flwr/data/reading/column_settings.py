"""Settings that name columns, where a source has none to choose: refused, not left unread."""

from collections.abc import Collection

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.reading.columns import NONE

_WITHOUT = (
    " To train with fewer images or texts, set missing-ratio and missing-image-share; data that "
    "has no image, or no text, is for dataset='folder:PATH'."
)


def refuse_columns(
    config: RunConfig, source: str, used: Collection[str] = (), optional: Collection[str] = ()
) -> None:
    """Refuse settings that name a column and that a source does not read.

    Args:
        config: the settings.
        source: the data set, as the user named it.
        used: keys that the source reads, as "label-column"; "partition" for its owners.
        optional: those of them that may say that there is no such column.

    Raises:
        DataError: names every such key, or the one that says so and may not.
    """
    given = {
        "image-column": config.data.image_column,
        "text-column": config.data.text_column,
        "label-column": config.data.label_column,
        "split-column": config.data.split_column,
        "id-column": config.data.id_column,
        "partition": config.data.owner_column and config.data.partition,
    }
    unread = [f"{key}='{value}'" for key, value in given.items() if value and key not in used]
    if unread:
        columns = [key for key in given if key in used and key != "partition"]
        what = (
            f"of the columns only {', '.join(columns)} can be chosen"
            if columns
            else ("its files have no columns to choose")
        )
        raise DataError(
            f"dataset='{source}' does not read {', '.join(unread)}: {what}. Leave it out."
            + (_WITHOUT if set(_left_out(config)) - set(used) else "")
        )
    refuse_none(config, source, optional)


def refuse_none(config: RunConfig, source: str, optional: Collection[str] = ()) -> None:
    """Refuse `image-column='none'` and `text-column='none'` for data that has images and texts.

    Args:
        config: the settings.
        source: the data set, as the user named it.
        optional: keys that may be 'none'.

    Raises:
        DataError: one of the others is; says what leaves out images or texts.
    """
    for key in _left_out(config):
        if key not in optional:
            raise DataError(
                f"dataset='{source}' does not take {key}='{NONE}': what it reads has "
                f"{key.partition('-')[0]}s. Leave it out.{_WITHOUT}"
            )


def _left_out(config: RunConfig) -> list[str]:
    given = {"image-column": config.data.image_column, "text-column": config.data.text_column}
    return [key for key, value in given.items() if value == NONE]

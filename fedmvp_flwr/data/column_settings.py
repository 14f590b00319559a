"""Settings that name columns, where a source has none to choose: refused, not left unread."""

from collections.abc import Collection

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import DataError


def refuse_columns(config: RunConfig, source: str, used: Collection[str] = ()) -> None:
    """Refuse settings that name a column and that a source does not read.

    Args:
        config: the settings.
        source: the data set, as the user named it.
        used: keys that the source reads, as "label-column"; "partition" for its owners.

    Raises:
        DataError: names every such key.
    """
    given = {
        "image-column": config.image_column,
        "text-column": config.text_column,
        "label-column": config.label_column,
        "split-column": config.split_column,
        "id-column": config.id_column,
        "partition": config.owner_column and config.partition,
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
        )

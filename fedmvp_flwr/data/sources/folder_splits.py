"""Splits that the folders of the images tell, where one metadata file is for all of them.

The layout of Hugging Face's `imagefolder`: images in `train/`, `test/`, ..., no column of splits.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.findings import SPLIT_BY_FOLDER, Findings
from fedmvp_flwr.data.reading.splits import SPLIT_NAMES


def splits_by_folder(
    places: Sequence[tuple[str, str | None]],
    data: DataSettings,
    findings: Findings,
) -> list[str | None]:
    """The split of each row by the folder of its image; None where no folders tell it.

    Folders tell it if there are at least two that are named as splits. Then every row must have
    its image in one of them.

    Args:
        places: where each row was read, and the name of its image; None: no image.
        data: `train-split`, `test-split` and `public-split` are names of splits, too.
        findings: takes note of every row whose split is told so.

    Raises:
        DataError: the folders tell the split of some rows and not of others.
    """
    settings = (data.train_split, data.test_split, data.public_split)
    known = SPLIT_NAMES | {name for setting in settings for name in setting.split("+") if name}
    heads = [_head(name) for _, name in places]
    there = {head for head in heads if head in known}
    if len(there) < 2:
        return [None] * len(heads)
    without = [where for (where, _), head in zip(places, heads, strict=True) if head not in known]
    if without:
        raise DataError(
            f"dataset='{findings.source}' has no column of splits. The images lie in folders "
            f"named as splits ({', '.join(sorted(there))}), but {len(without)} rows have no image "
            f"in one of them, the first is {without[0]}. Write a column 'split' in every row."
        )
    for _ in heads:
        findings.note(SPLIT_BY_FOLDER)
    return list(heads)


def _head(name: str | None) -> str | None:
    parts = PurePosixPath(name or "").parts
    return parts[0] if len(parts) > 1 else None

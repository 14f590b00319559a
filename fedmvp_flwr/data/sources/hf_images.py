"""The images of a `datasets` table: read when needed, from the table or from files it names."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.data.reading.files import is_own_file
from fedmvp_flwr.data.reading.findings import Findings
from fedmvp_flwr.data.reading.image_checks import CheckedImage, check_contents
from fedmvp_flwr.data.reading.image_decoding import read_image_file


def image_root(name: str) -> Path:
    """The folder that image files may lie in: the data set's own, or the cache of the hub."""
    from datasets import config

    path = expanded(name)
    return (path if path.exists() else Path(config.HF_CACHE_HOME)).resolve()


def table_images(
    table: Any,  # noqa: ANN401 - a datasets.Dataset
    column: str | None,
    split: str,
    root: Path,
    findings: Findings,
) -> tuple[dict[int, CheckedImage], list[bool]]:
    """Find and check the images of one split.

    Args:
        table: the split.
        column: of the type Image; None: there are to be no images.
        split: how findings name it.
        root: the resolved folder that image files may lie in.
        findings: takes missing files and those outside of the folder.

    Returns:
        By row the image, where there is one; for each row whether the sample can be used.

    Raises:
        DataError: the column is of another type.
    """
    import datasets

    if column is None:
        return {}, [True] * len(table)
    if not isinstance(table.features[column], datasets.Image):
        raise DataError(
            f"dataset='{findings.source}': column '{column}' is {table.features[column]}, not "
            "an Image. Set image-column, or cast it with cast_column."
        )
    fingerprint = table._fingerprint
    if table._indices is not None:  # a selection: its Arrow table holds more rows than it shows
        table = table.flatten_indices()
    encoded = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    usable, rows = [], []
    for index, (there, path) in enumerate(_stored(encoded, column)):
        where = f"{split}:row {index}"
        usable.append(path is None or is_own_file(root, Path(path), where, path, findings))
        if there and usable[-1]:
            rows.append(index)
    images = check_contents(
        [f"{fingerprint}|{row}" for row in rows],
        [f"{split}:row {row}" for row in rows],
        [partial(_bytes_of, encoded, row, column) for row in rows],
        findings.cache,
        findings.source,
    )
    return dict(zip(rows, images, strict=True)), usable


def _stored(table: Any, column: str) -> Iterator[tuple[bool, str | None]]:  # noqa: ANN401
    """For each row whether it has an image, and the image's path where the bytes are not here.

    A null has none, nor has a row with neither bytes nor path, as other programs write a null.
    """
    for chunk in table.data.column(column).chunks:  # Arrow tells without reading the images
        fields = dict(zip((field.name for field in chunk.type), chunk.flatten(), strict=True))
        inside = fields["bytes"].is_valid().to_pylist()
        paths = fields["path"].to_pylist()
        for has_bytes, path in zip(inside, paths, strict=True):
            yield has_bytes or path is not None, None if has_bytes else path


def _bytes_of(table: Any, index: int, column: str) -> bytes:  # noqa: ANN401
    cell = table[index][column]
    return read_image_file(Path(cell["path"])) if cell["bytes"] is None else bytes(cell["bytes"])

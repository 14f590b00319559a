"""The images of a `datasets` table: read when needed, from the table or from files it names."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.data.reading.entries import printable
from fedmvp_flwr.data.reading.findings import MISSING_FILE, OUTSIDE, Findings
from fedmvp_flwr.data.reading.image_checks import check_contents
from fedmvp_flwr.data.reading.image_limits import read_file
from fedmvp_flwr.data.reading.images import TableImage


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
) -> tuple[dict[int, TableImage], list[bool]]:
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
        usable.append(path is None or _is_allowed(path, root, where, findings))
        if there and usable[-1]:
            rows.append(index)
    checks = check_contents(
        [f"{fingerprint}|{index}" for index in rows],
        lambda position: _bytes_of(encoded, rows[position], column),
        findings.cache,
        findings.source,
    )
    images = {
        index: TableImage(
            lambda index=index: _bytes_of(encoded, index, column),  # type: ignore[misc]
            f"{split}:row {index}",
            check,
        )
        for index, check in zip(rows, checks, strict=True)
    }
    return images, usable


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


def _is_allowed(path: str, root: Path, where: str, findings: Findings) -> bool:
    place, shown = Path(path), f"'{printable(path)}'"
    try:
        if not place.resolve().is_relative_to(root):
            findings.add(OUTSIDE, where, shown)
        elif not place.is_file():
            findings.add(MISSING_FILE, where, shown)
        else:
            return True
    except (OSError, RuntimeError, ValueError) as error:  # a name that no file can have
        findings.add(MISSING_FILE, where, f"{shown} ({printable(str(error))})")
    return False


def _bytes_of(table: Any, index: int, column: str) -> bytes:  # noqa: ANN401
    cell = table[index][column]
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    return read_file(Path(cell["path"]))

"""The files of a model's folder, those in linked subfolders included, and what JSON ones hold.

Large parts of a pipeline are often links into another folder. The libraries load through them, so
whatever looks at a model's files has to see them too.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder and its subfolders, sorted, by their paths in the folder.

    A link to a folder is followed, unless it leads back to a folder that holds it; a link that
    leads nowhere is no file.
    """
    return sorted(_files(folder, frozenset()))


def _files(folder: Path, outer: frozenset[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in outer:
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path, outer.union((real, *real.parents)))
        elif path.is_file():
            yield path


def json_object(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none: the loader will say what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

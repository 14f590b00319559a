"""The files of a model's folder, those in linked subfolders included, and what JSON ones hold.

Large parts of a pipeline are often links into another folder. The libraries load through them, so
whatever looks at a model's files has to see them too.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder and its subfolders, sorted, by their paths in the folder.

    Args:
        folder: of a model. A link to a folder is followed, unless it leads back to a folder that
            holds it; a link that leads nowhere is no file.
    """
    real = Path(os.path.realpath(folder))
    above = {os.fspath(folder): frozenset((real, *real.parents))}
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):
        outer = above.pop(place)
        targets = {name: Path(os.path.realpath(os.path.join(place, name))) for name in folders}
        folders[:] = [name for name in folders if targets[name] not in outer]
        for name in folders:
            inner = outer.union((targets[name], *targets[name].parents))
            above[os.path.join(place, name)] = inner
        found += [path for path in (Path(place, name) for name in names) if path.is_file()]
    return sorted(found)


def json_object(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none: the loader will say what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""The files of a model's folder, those in linked subfolders included.

Large parts of a pipeline are often links into another folder. The libraries load through them, so
whatever looks at a model's files has to see them too.
"""

import os
from pathlib import Path


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

"""What a model's folder says of itself: how it is to be called."""

import json
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError

CALL_FILE = "fedmvp.json"  # {"call": {...}}: the arguments that the model was made for


def declared_call(folder: Path) -> dict[str, Any]:
    """Return the arguments that the folder's `fedmvp.json` names, none without such a file.

    Raises:
        ModelError: the file is malformed.
    """
    path = folder / CALL_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["call"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path}: expected {{"call": {{...}}}} in JSON: {error!r}') from error

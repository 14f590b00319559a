"""The JSON files of a model's folder, where a check can do without one that is not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def json_object(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where there is none: the loader will say what is wrong with it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

"""The table of all run-config keys, as Markdown: `python -m fedmvp_flwr.config.key_table`."""

import sys
from typing import Any

from pydantic.fields import FieldInfo

from fedmvp_flwr.config import RunConfig

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def configuration_table() -> str:
    """One row per key: default, allowed values, meaning."""
    rows = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    for key, field in RunConfig.fields():
        default = f"`{_toml(field.default)}`"
        rows.append(f"| `{key}` | {default} | {_allowed(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _allowed(field: FieldInfo) -> str:
    # typing caches unions of literals, whatever their order: the default first, then by name.
    choices = sorted(set(_choices(field.annotation)), key=lambda c: (c != field.default, c))
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = [
        f"{sign} {getattr(item, name):g}"
        for item in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(item, name, None) is not None
    ]
    kind = getattr(field.annotation, "__name__", "value")
    return " ".join(
        [{"str": "text", "bool": "true, false"}.get(kind, kind), ", ".join(bounds)]
    ).strip()


def _choices(annotation: Any) -> list[str]:  # noqa: ANN401 - a type expression
    found: list[str] = []
    for argument in getattr(annotation, "__args__", ()):
        found += [argument] if isinstance(argument, str) else _choices(argument)
    return found


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


if __name__ == "__main__":
    sys.stdout.write(configuration_table())

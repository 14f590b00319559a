"""Keys of earlier versions, each with what to write now; `{value}` stands for the given value."""

REPLACED: dict[str, str] = {}

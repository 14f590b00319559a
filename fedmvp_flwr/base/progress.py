"""How long tasks tell how far they are."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with the stage, the number done so far, and the total."""

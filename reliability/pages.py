"""Parts of a page that a program writes, between two marks."""

from pathlib import Path


def replace_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two marks of a page.

    Raises:
        ValueError: the page lacks a mark.
    """
    old = page.read_text(encoding="utf-8")
    head, first, rest = old.partition(begin)
    _, second, tail = rest.partition(end)
    if not first or not second:
        raise ValueError(f"{page} lacks the marks {begin.strip()} and {end.strip()}.")
    page.write_text(head + begin + text + end + tail, encoding="utf-8")

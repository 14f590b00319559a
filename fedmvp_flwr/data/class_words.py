"""Texts that do not give the class away: its words are replaced."""

import re
from collections.abc import Callable, Sequence

MASK = "item"
_SHORTEST = 3  # letters; shorter words ("of", "a") say nothing


def class_word_mask(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function that replaces the words of all class names, singular or plural.

    All classes' words, not only the sample's own: otherwise the gap itself would tell the class.
    "Tshirts" covers "T-shirt" and "t shirts" as well.

    Args:
        names: the class names.
    """
    stems = {
        _stem(word)
        for name in names
        for word in re.findall(r"[^\W\d_]+", name.lower())
        if len(word) >= _SHORTEST
    }
    if not stems:
        return lambda text: text
    # The longest first; the first letter may stand apart, as in "T-shirt".
    forms = [
        rf"{re.escape(stem[0])}[-\s]?{re.escape(stem[1:])}"
        for stem in sorted(stems, key=lambda stem: (-len(stem), stem))
    ]
    pattern = re.compile(rf"\b(?:{'|'.join(forms)})(?:s|es|ies|y)?\b", re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


def _stem(word: str) -> str:
    for ending in ("ies", "sses", "shes", "ches", "xes"):
        if word.endswith(ending):
            return word[: -len("ies") if ending == "ies" else -len("es")]
    if word.endswith("y"):
        return word[:-1]
    return word.removesuffix("s") if not word.endswith("ss") else word

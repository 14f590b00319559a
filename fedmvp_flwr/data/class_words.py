"""Texts that do not give the class away: its words are replaced."""

import re
import unicodedata
from collections.abc import Callable, Sequence

MASK = "item"
_SHORTEST = 3  # letters; shorter words ("of", "a") say nothing
# Scripts that set no spaces between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese), and
# Korean, which sets none before its particles.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_ANY_UNSPACED = re.compile(f"[{_UNSPACED}]")
_LETTER = rf"[^\W{_UNSPACED}]"  # of a script with spaces: 'Nike' in '红色Nike鞋' is a word


def class_word_mask(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function that replaces the words of all class names, singular or plural.

    All classes' words, not only the sample's own: otherwise the gap itself would tell the class.
    "Tshirts" covers "T-shirt" and "t shirts" as well. A word with letters of a script without
    spaces is replaced wherever its letters stand, also within what is another word: too much is
    gone then, but never too little.

    Args:
        names: the class names.
    """
    spellings = {
        unicodedata.normalize(form, word)
        for name in names
        for word in _words(unicodedata.normalize("NFC", name).lower())
        for form in ("NFC", "NFD")
    }
    unspaced = {word for word in spellings if _ANY_UNSPACED.search(word)}
    stems = {_stem(word) for word in spellings - unspaced if len(word) >= _SHORTEST}
    # The longest first; the first letter may stand apart, as in "T-shirt".
    patterns = [re.escape(word) for word in _longest_first(unspaced)]
    if stems:
        forms = [
            rf"{re.escape(stem[0])}[-\s]?{re.escape(stem[1:])}" for stem in _longest_first(stems)
        ]
        word = rf"(?<!{_LETTER})(?:{'|'.join(forms)})(?:s|es|ies|y)?(?!{_LETTER})"
        patterns.append(word)
    if not patterns:
        return lambda text: text
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


def _words(name: str) -> list[str]:
    """Runs of letters and of the marks on them, without which Thai and Hindi fall to pieces."""
    letters = (c if unicodedata.category(c)[0] in "LM" else " " for c in name)
    return "".join(letters).split()


def _longest_first(words: set[str]) -> list[str]:
    return sorted(words, key=lambda word: (-len(word), word))


def _stem(word: str) -> str:
    for ending in ("ies", "sses", "shes", "ches", "xes"):
        if word.endswith(ending):
            return word[: -len("ies") if ending == "ies" else -len("es")]
    if word.endswith("y"):
        return word[:-1]
    return word.removesuffix("s") if not word.endswith("ss") else word

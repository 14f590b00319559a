"""Texts that do not give the class away: its words are replaced."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

MASK = "item"
_SHORTEST = 3  # letters of a form that is derived: "Ties" makes no "ty", "Bus" no "bu"
# They say nothing of a class, and would take half of every text along.
_EMPTY_WORDS = (
    "am an and are as at be by do for from he if in is it me my no not of on or so the to up us we "
    "with"
)
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_IRREGULAR = {
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "man": "men",
    "mouse": "mice",
    "ox": "oxen",
    "person": "people",
    "tooth": "teeth",
    "us": "i",  # cactus
}
# Scripts that set no spaces between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese), and
# Korean, which sets none before its particles.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_ANY_UNSPACED = re.compile(f"[{_UNSPACED}]")
_LETTER = rf"[^\W{_UNSPACED}]"  # of a script with spaces: 'Nike' in '红色Nike鞋' is a word
_APART = re.compile(rf"(?<!{_LETTER})({_LETTER})-(?={_LETTER})")  # as in "T-shirt"


def class_word_mask(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function that replaces the words of all class names, singular or plural.

    All classes' words, not only the sample's own: otherwise the gap itself would tell the class.
    "Tshirts" covers "T-shirt" and "t shirts" as well. A word with letters of a script without
    spaces is replaced wherever its letters stand, also within what is another word: too much is
    gone then, but never too little. Single letters and words such as "of" and "and" stay.

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
    patterns = [re.escape(word) for word in _longest_first(unspaced)]
    words = {word for word in spellings - unspaced if len(word) > 1}
    words -= set(_EMPTY_WORDS.split())
    if words:
        patterns.append(rf"(?<!{_LETTER})(?:{_any_form(words)})(?!{_LETTER})")
    if not patterns:
        return lambda text: text
    pattern = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda text: pattern.sub(MASK, text)


def word_forms(word: str) -> set[str]:
    """A word in lower case as it stands, its singular and its plural, whichever of them it is.

    What cannot be told from the spelling is taken for both: "Hoodies" may be of "hoody" or of
    "hoodie". A form that is no word does no harm; so there are some.
    """
    singulars = {form for form in _singulars(word) if len(form) >= _SHORTEST} | {word}
    plurals = {form for singular in singulars for form in _plurals(singular)}
    return singulars | {form for form in plurals if len(form) >= _SHORTEST}


def _singulars(word: str) -> set[str]:
    """What a word may be the plural of."""
    found = {
        word.removesuffix(many) + one for one, many in _IRREGULAR.items() if word.endswith(many)
    }
    if not word.endswith("s") or word.endswith("ss"):
        return found
    found.add(word[:-1])
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    elif word.endswith("ves"):
        found |= {word[:-3] + "f", word[:-3] + "fe"}
    elif word.endswith("es") and word[:-2].endswith((*_SIBILANTS, "o")):
        found.add(word[:-2])
    return found


def _plurals(word: str) -> set[str]:
    found = {
        word.removesuffix(one) + many for one, many in _IRREGULAR.items() if word.endswith(one)
    }
    if word.endswith(_SIBILANTS):
        found.add(word + "es")
    else:
        found.add(word + "s")
    if re.search("[^aeiou]y$", word):
        found.add(word[:-1] + "ies")
    elif word.endswith(("f", "fe")):
        found.add(word.removesuffix("e")[:-1] + "ves")
    elif word.endswith("o"):
        found.add(word + "es")
    elif re.search("[aeiou][sz]$", word):
        found.add(word + word[-1] + "es")  # quizzes
    return found


def _any_form(words: Iterable[str]) -> str:
    """A pattern of all forms; the first letter of longer words may stand apart, as in "T-shirt"."""
    short = {form for word in words if len(word) < _SHORTEST for form in word_forms(word)}
    by_letter: dict[str, set[str]] = {}
    for form in {form for word in words for form in word_forms(word)} - short:
        by_letter.setdefault(form[0], set()).add(form[1:])
    parts = [re.escape(form) for form in _longest_first(short)]
    for letter, rests in sorted(by_letter.items()):  # together, which makes the search faster
        endings = "|".join(re.escape(rest) for rest in _longest_first(rests))
        parts.append(rf"{re.escape(letter)}[-\s]?(?:{endings})")
    return "|".join(parts)


def _words(name: str) -> list[str]:
    """Runs of letters and of the marks on them, without which Thai and Hindi fall to pieces.

    A first letter that stands apart is also taken for a part of the word: "T-shirt" is "tshirt".
    """
    both = name + " " + _APART.sub(r"\1", name)
    letters = (c if unicodedata.category(c)[0] in "LM" else " " for c in both)
    return "".join(letters).split()


def _longest_first(words: set[str]) -> list[str]:
    return sorted(words, key=lambda word: (-len(word), word))

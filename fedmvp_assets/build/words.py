"""The words that the embedded models know, and their shared tokenizer."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.data.sources.flora import FlowerSpec
from fedmvp_flwr.pretraining.tokenizer import END, PAD, START, UNKNOWN, frame

COARSE_PROMPT = "a picture of"
DETAILED_PROMPT = "a detailed picture of"
QUESTIONS = {
    "colour": "what colour are the petals?",
    "shape": "what shape are the petals?",
    "count": "how many petals are there?",
    "pattern": "what pattern do the petals have?",
    "centre": "what is the centre like?",
}
VISIBLE = tuple(QUESTIONS)
MAX_TOKENS = 40
_OTHER_WORDS = (
    "the this that an of in on at to by for from and or not no is are was be has have it its "
    "image photo picture painting drawing detailed close-up view plant garden nature small large "
    "big tiny bright pale light deep colour colored shape number many one two seven nine ten "
    "pattern middle leaf leaves stem green brown black grey gray background petal flowers petals "
    "question answer : ? . ; ! what which how do does there like species called kind yes very"
)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*|[^\sa-z]")

_VALUE_WORDS = {
    "colour": flora.COLOUR_WORDS,
    "shape": flora.SHAPE_WORDS,
    "count": {count: (word,) for count, word in flora.COUNT_WORDS.items()},
    "pattern": flora.PATTERN_WORDS,
    "centre": flora.CENTRE_WORDS,
}


def vocabulary() -> list[str]:
    """All words, special tokens included; the end token is last, as CLIP's pooling needs it."""
    texts = [*_OTHER_WORDS.split(), *QUESTIONS.values(), *flora.OPENINGS, ",", "with and centre"]
    texts += [
        word for words in _VALUE_WORDS.values() for options in words.values() for word in options
    ]
    texts += [word for options in flora.SCENT_WORDS.values() for word in options]
    words = sorted({word for text in texts for word in _WORD.findall(text)})
    return [PAD, UNKNOWN, START, *words, END]


def build_tokenizer() -> Any:  # noqa: ANN401 - transformers is imported here only
    """Word-level tokenizer with [CLS] and [SEP] around every text."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    index = {word: i for i, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(index, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(r"[a-z]+(?:-[a-z]+)*|[^\sa-z]"), behavior="removed", invert=True
    )
    return frame(tokenizer, MAX_TOKENS)


def value_words(attribute: str, spec: FlowerSpec) -> tuple[str, ...]:
    """The words that name a flower's value of a visible attribute; the first is the usual one."""
    return _VALUE_WORDS[attribute][getattr(spec, attribute)]  # type: ignore[index]


def named_values(text: str, attribute: str) -> set[object]:
    """The values of an attribute that a text names."""
    words = _WORD.findall(text.lower())
    return {
        value
        for value, options in _VALUE_WORDS[attribute].items()
        if any(option.split()[-1] in words for option in options)
    }


def question_prompt(attribute: str) -> str:
    """What the captioner continues to the value of a visible attribute."""
    return f"question: {QUESTIONS[attribute]} answer:"


def visible_caption(
    spec: FlowerSpec, generator: np.random.Generator, stated: Mapping[str, float]
) -> str:
    """A caption of what can be seen, at least three attributes, by their chances to be stated."""
    return flora.caption(spec, generator, stated)


def full_caption(spec: FlowerSpec) -> str:
    """The caption of all five visible attributes in their usual words."""
    words = {name: value_words(name, spec)[0] for name in VISIBLE}
    return (
        f"a flower with {words['count']} {words['pattern']} {words['shape']} "
        f"{words['colour']} petals and a {words['centre']} centre"
    )

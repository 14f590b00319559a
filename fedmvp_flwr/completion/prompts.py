"""Prompt templates: how one modality is asked for from the other.

From coarse to fine, as the paper has it: a class-agnostic coarse prompt first, then what is seen is
asked for in detail. No template names a class, unless the caller passes one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.nearest import did_you_mean

_ANSWER_SLOT = "{}"
_PHRASE_MARK = "=>"
_LABEL_SLOT = re.compile(r"\{label(?:\|([^{}]*))?\}")
_SLOT = re.compile(rf"\{{\}}|{_LABEL_SLOT.pattern}")
_ANY_THING = "object"
_LONGEST_LABEL = 80  # characters that enter a prompt
_SAYS_NOTHING = {"", "unknown", "none", "no", "nothing", "not visible"}


@dataclass(frozen=True)
class Question:
    """A question about an image, and the phrase that its answer becomes in the text.

    Attributes:
        text: the question, for example "what colour are the petals?". Where it says "{label|bird}"
            the class name stands, or "bird" where it may not be told.
        phrase: holds "{}" in the answer's place, for example "{} petals".
    """

    text: str
    phrase: str = _ANSWER_SLOT


@dataclass(frozen=True)
class PromptTemplate:
    """How texts are made from images and images from texts.

    Attributes:
        caption_prompt: what the captioner continues to a caption.
        asks: whether the questions are asked as well.
        image_prompt: holds "{}" in the place of the text that an image is made from.
        question_prompt: holds "{}" in the place of a question; the default is the form of visual
            question answering that BLIP and BLIP-2 were trained with.
    """

    caption_prompt: str
    asks: bool
    image_prompt: str
    question_prompt: str = "question: {} answer:"

    def caption_prompts(
        self, questions: Sequence[Question], class_name: str | None = None
    ) -> tuple[str, ...]:
        """Return everything that the captioner is asked about one image, the caption first.

        A class name stands where a question has a place for it, else before the question, inside
        the question's own frame.
        """
        coarse = _with_class(self.caption_prompt, class_name)
        if not self.asks:
            return (coarse,)
        return (coarse, *(self._asked(question.text, class_name) for question in questions))

    def _asked(self, question: str, class_name: str | None) -> str:
        if _LABEL_SLOT.search(question):
            question = _fill(question, class_name=class_name)
        else:
            question = _with_class(question, class_name)
        return _fill(self.question_prompt, question)

    def assemble(
        self, questions: Sequence[Question], answers: Sequence[str], class_name: str | None = None
    ) -> str:
        """Join the captioner's answers, in the order of `caption_prompts`, to one text.

        An answer that says nothing, or nothing that the text does not say already, is left out.
        """
        text = _tidy(answers[0])
        for question, answer in zip(questions, answers[1:], strict=False):
            answer = _tidy(answer)
            if answer.lower() in _SAYS_NOTHING or _words(answer) <= _words(text):
                continue
            phrase = _fill(question.phrase, answer, class_name)
            text = f"{text}, {phrase}" if text else phrase
        return _with_class(text, class_name)

    def image_prompt_for(self, text: str, class_name: str | None = None) -> str:
        """Return the prompt that an image is generated from."""
        return _with_class(_fill(self.image_prompt, _tidy(text)), class_name)


TEMPLATES: dict[str, PromptTemplate] = {
    "coarse": PromptTemplate("a picture of", asks=False, image_prompt="{}"),
    "coarse-to-fine": PromptTemplate("a picture of", asks=True, image_prompt="a picture of {}"),
    "detailed": PromptTemplate(
        "a detailed picture of", asks=False, image_prompt="a detailed picture of {}"
    ),
    # Captioners with a chat template are told what to do instead of being given a beginning.
    "instruct": PromptTemplate(
        "Describe this picture in one sentence.",
        asks=True,
        image_prompt="a picture of {}",
        question_prompt="{} Answer with one or two words.",
    ),
    "instruct-coarse": PromptTemplate(
        "Describe this picture in one sentence.", asks=False, image_prompt="{}"
    ),
}


def template_named(name: str) -> PromptTemplate:
    """Return a template by its name.

    Raises:
        ConfigError: no such template, with the nearest known name.
    """
    if name not in TEMPLATES:
        near = did_you_mean(name, TEMPLATES)
        raise ConfigError(f"prompt-template='{name}' is none of {', '.join(TEMPLATES)}{near}.")
    return TEMPLATES[name]


def parse_questions(text: str) -> tuple[Question, ...]:
    """Read questions separated by ";", each "question" or "question => phrase with {}".

    Raises:
        ConfigError: a phrase has no place for the answer.
    """
    questions = []
    for item in filter(None, (part.strip() for part in text.split(";"))):
        question, mark, phrase = (part.strip() for part in item.partition(_PHRASE_MARK))
        if mark and _ANSWER_SLOT not in phrase:
            raise ConfigError(
                f"caption-questions: the phrase of '{item}' has no '{_ANSWER_SLOT}' in the "
                "answer's place; expected for example 'what colour are the petals? => {} petals'."
            )
        questions.append(Question(question, phrase or _ANSWER_SLOT))
    return tuple(questions)


def _with_class(text: str, class_name: str | None) -> str:
    return text if class_name is None else f"{_label(class_name)}: {text}"


def _fill(pattern: str, content: str = _ANSWER_SLOT, class_name: str | None = None) -> str:
    """Fill the places of a pattern in one pass: what is filled in is never read as a place."""

    def fill(place: re.Match[str]) -> str:
        if place[0] == _ANSWER_SLOT:
            return content
        if class_name is None:
            return place[1] if place[1] is not None else _ANY_THING
        return _label(class_name)

    return _SLOT.sub(fill, pattern)


def _label(class_name: str) -> str:
    """A class name on one line, without control characters, of a bearable length."""
    plain = "".join(c if c.isprintable() else " " for c in class_name)
    return " ".join(plain.split())[:_LONGEST_LABEL].strip()


def _tidy(text: str) -> str:
    return " ".join(text.split()).rstrip(" .,;")


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?").lower() for word in text.split()}

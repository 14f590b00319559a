import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.completion.prompts import TEMPLATES, Question, parse_questions, template_named
from fedmvp_flwr.config import RunConfig

COLOUR = Question("what colour are the petals?", "{} petals")
CENTRE = Question("what is the centre like?")


def test_coarse_to_fine_asks_the_coarse_prompt_first_and_names_no_class():
    prompts = template_named("coarse-to-fine").caption_prompts([COLOUR, CENTRE])
    assert prompts == (
        "a picture of",
        "question: what colour are the petals? answer:",
        "question: what is the centre like? answer:",
    )


@pytest.mark.parametrize(
    ("name", "prompt"), [("coarse", "a picture of"), ("detailed", "a detailed picture of")]
)
def test_other_templates_ask_one_thing(name, prompt):
    assert template_named(name).caption_prompts([COLOUR]) == (prompt,)


def test_answers_become_one_text():
    text = TEMPLATES["coarse-to-fine"].assemble([COLOUR, CENTRE], ["a flower.", "red ", "dark"])
    assert text == "a flower, red petals, dark"


@pytest.mark.parametrize("answer", ["", "unknown", "Red", "a red flower"])
def test_answers_that_add_nothing_are_left_out(answer):
    template = TEMPLATES["coarse-to-fine"]
    assert template.assemble([COLOUR], ["a red flower", answer]) == "a red flower"


def test_an_empty_caption_leaves_the_answers():
    assert TEMPLATES["coarse-to-fine"].assemble([COLOUR], ["", "red"]) == "red petals"
    assert TEMPLATES["coarse-to-fine"].assemble([COLOUR], ["", ""]) == ""


def test_image_prompts_keep_any_text():
    assert TEMPLATES["coarse"].image_prompt_for("a {} red  flower. ") == "a {} red flower"
    assert TEMPLATES["detailed"].image_prompt_for("花") == "a detailed picture of 花"


def test_the_class_name_is_a_prefix_where_it_is_given():
    template = TEMPLATES["coarse"]
    assert template.caption_prompts([], "rose") == ("rose: a picture of",)
    assert template.assemble([], ["a flower"], "rose") == "rose: a flower"
    assert template.image_prompt_for("a flower", "rose") == "rose: a flower"


def test_questions_are_read_with_and_without_phrases():
    text = " what colour are the petals? => {} petals ; what is the centre like?;; "
    assert parse_questions(text) == (COLOUR, CENTRE)
    assert parse_questions("") == ()
    assert len(parse_questions(RunConfig.of().completion.caption_questions)) == 5


def test_a_phrase_without_a_place_is_refused():
    with pytest.raises(ConfigError, match="caption-questions"):
        parse_questions("what colour? => red petals")


def test_an_unknown_template_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'coarse'"):
        template_named("corase")
    assert RunConfig.of().completion.prompt_template in TEMPLATES


def test_a_chat_template_is_told_what_to_do():
    prompts = template_named("instruct").caption_prompts([COLOUR])
    assert prompts == (
        "Describe this picture in one sentence.",
        "what colour are the petals? Answer with one or two words.",
    )
    assert len(template_named("instruct-coarse").caption_prompts([COLOUR])) == 1


def test_the_class_name_stands_where_a_question_wants_it():
    questions = parse_questions(
        "what colour is the {label|bird}? => a {} {label|bird}; how large is it?; is {label} old?"
    )
    template = TEMPLATES["coarse-to-fine"]
    assert template.caption_prompts(questions, "grey gull")[1:] == (
        "question: what colour is the grey gull? answer:",
        "question: grey gull: how large is it? answer:",
        "question: is grey gull old? answer:",
    )
    assert template.caption_prompts(questions)[1:] == (
        "question: what colour is the bird? answer:",
        "question: how large is it? answer:",
        "question: is object old? answer:",
    )
    assert template.assemble(questions, ["", "red"]) == "a red bird"
    assert template.assemble(questions, ["", "red"], "gull") == "gull: a red gull"
    told = template_named("instruct").caption_prompts(questions, "gull")
    assert told[2] == "gull: how large is it? Answer with one or two words."


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("{}", "{}"),
        ("{label}", "{label}"),
        ("a\n\tb\x00c", "a b c"),
        ("花 🌸 \u202e", "花 🌸"),
        (r"\1 \g<0> %s", r"\1 \g<0> %s"),
        ("x" * 500, "x" * 80),
    ],
)
def test_labels_of_odd_characters_are_only_text(label, shown):
    template = TEMPLATES["coarse-to-fine"]
    questions = parse_questions("what colour is the {label}? => {} {label}")
    assert template.caption_prompts(questions, label) == (
        f"{shown}: a picture of",
        f"question: what colour is the {shown}? answer:",
    )
    assert template.assemble(questions, ["", "{label} {}"], label) == (
        f"{shown}: {{label}} {{}} {shown}"
    )
    assert template.image_prompt_for("{} {label}", label) == f"{shown}: a picture of {{}} {{label}}"

"""BLIP-2 and chat models as captioners, each real class built tiny and loaded by its path."""

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion.completers import FoundationCompleter, Source
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

PROMPTS = ["a picture of", "question: what colour are the petals? answer:"]


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = [(20, 24), (16, 16), (40, 16)]
    return [Image.fromarray(rng.integers(0, 256, (*s, 3), dtype=np.uint8)) for s in sizes]


@pytest.fixture(scope="module")
def folders(tiny_models_module, tmp_path_factory):
    root, tiny = tmp_path_factory.mktemp("captioners"), tiny_models_module
    return {
        "opt": tiny.build_blip2(root / "opt"),
        "t5": tiny.build_blip2(root / "t5", seq2seq=True),
        "chat": tiny.build_llava(root / "chat"),
        "no-chat": tiny.build_llava(root / "no-chat", chat=False),
        "blip": tiny.build_blip(root / "blip"),
    }


def captioner(folder, **settings):
    return FoundationModels(RunConfig.of(captioner=f"transformers:{folder}", **settings)).captioner


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_blip2_says_what_its_own_generate_says(kind, folders, images):
    mine = captioner(folders[kind], captioner_max_tokens=6)
    answers = mine.caption_each(images, PROMPTS)
    model, processor = mine._model, mine._processor
    for prompt, texts in zip(PROMPTS, answers, strict=True):
        inputs = processor(images=images, text=[prompt] * len(images), return_tensors="pt")
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=6, do_sample=False)
        if kind == "opt":
            ids = ids[:, -6:] if ids.shape[1] > inputs["input_ids"].shape[1] else ids
        oracle = processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        assert texts == [" ".join(text.split()) for text in oracle]
        assert texts == mine.caption(images, prompt)
        assert texts[1] == mine.caption(images[1:2], prompt)[0]
    assert mine.caption([], "a") == []
    assert mine.caption_each([], PROMPTS) == [[], []]


def test_a_chat_model_answers_each_image_by_itself(folders, images):
    mine = captioner(folders["chat"], captioner_max_tokens=5)
    answers = mine.caption(images, "what colour are the petals ?")
    assert len(answers) == len(images)
    for image, answer in zip(images, answers, strict=True):
        assert mine.caption([image], "what colour are the petals ?") == [answer]
        assert "<image>" not in answer
        assert "what colour" not in answer
    assert any(answers)
    assert mine.caption([], "a") == []


def test_a_chat_model_sees_image_and_prompt(folders, images):
    mine = captioner(folders["chat"], captioner_max_tokens=8)
    other = captioner(folders["chat"], captioner_max_tokens=2)
    prompts = ["the", "what colour are the petals ?", "how many flower ?"]
    answers = {tuple(mine.caption(images, prompt)) for prompt in prompts}
    assert len(answers) > 1
    short = other.caption(images, "the")
    assert all(len(text.split()) <= 2 for text in short)


def test_a_model_without_chat_template_is_refused(folders):
    with pytest.raises(ModelError, match="'llava' without a chat template"):
        captioner(folders["no-chat"])


@pytest.mark.parametrize("kind", ["blip", "opt", "chat"])
def test_captioners_compute_in_the_type_that_is_set(kind, folders, images):
    mine = captioner(folders[kind], captioner_dtype="bf16", captioner_max_tokens=3)
    assert mine._model.dtype == torch.bfloat16
    assert len(mine.caption(images, "a picture of")) == len(images)


def test_the_longest_answer_is_a_setting_of_blip_too(folders, images):
    long = captioner(folders["blip"], captioner_max_tokens=12).caption(images, "a picture of")
    short = captioner(folders["blip"], captioner_max_tokens=2).caption(images, "a picture of")
    for a, b in zip(long, short, strict=True):
        assert len(b.split()) <= 2
        assert a.startswith(b)


def test_coarse_to_fine_completion_with_a_chat_model(folders, images):
    config = RunConfig.of(
        captioner=f"transformers:{folders['chat']}",
        captioner_max_tokens=3,
        prompt_template="instruct",
        caption_questions="what colour are the petals? => {} petals",
        captioner_batch_size=2,
    )
    completer = FoundationCompleter(FoundationModels(config), config)
    sources = [Source(image, f"{i:064d}") for i, image in enumerate(images)]
    made = completer.complete("text", sources)
    assert made[0].provenance["prompts"] == [
        "Describe this picture in one sentence.",
        "what colour are the petals? Answer with one or two words.",
    ]
    assert [m.provenance["source"] for m in made] == [s.digest for s in sources]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"captioner_max_tokens": 5}, False),
        ({"captioner_dtype": "bf16"}, False),
        ({"captioner_batch_size": 2}, True),
        ({"generator_size": 32}, True),
    ],
)
def test_settings_that_change_a_text_are_in_its_key(change, same, folders):
    config = RunConfig.of(captioner=f"transformers:{folders['blip']}")
    other = config.changed(**change)
    keys = [
        FoundationCompleter(FoundationModels(c), c).key("text", "0" * 64, None, "sample")
        for c in (config, other)
    ]
    assert (keys[0] == keys[1]) is same


LABELS = ["<image>", "a [SEP] b", "[PAD]", "{}", "花 🌸", "\n", "x " * 400]


@pytest.mark.parametrize("kind", ["blip", "opt", "t5", "chat"])
@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_any_class_name_may_stand_in_a_question(kind, label, folders, images):
    config = RunConfig.of(
        captioner=f"transformers:{folders[kind]}",
        captioner_max_tokens=2,
        caption_questions="what colour are the petals of the {label|flower}? => {} petals",
        prompt_template="instruct" if kind == "chat" else "coarse-to-fine",
    )
    completer = FoundationCompleter(FoundationModels(config), config)
    sources = [Source(image, f"{i:064d}", label) for i, image in enumerate(images[:2])]
    sources.append(Source(images[2], f"{2:064d}", "flower"))
    made = completer.complete("text", sources)
    assert len(made) == 3
    for completion in made:
        assert "<image>" not in " ".join(completion.provenance["answers"])


@pytest.mark.parametrize("kind", ["blip", "opt", "t5", "chat"])
def test_the_question_is_no_part_of_the_answer(kind, folders, images):
    mine = captioner(folders[kind], captioner_max_tokens=3)
    tokens = mine._processor.tokenizer
    for answer in mine.caption(images, "question: how many petals? answer:"):
        assert len(tokens(answer, add_special_tokens=False)["input_ids"]) <= 3


def test_of_a_prompt_that_is_too_long_the_end_stays(folders, images):
    mine = captioner(folders["blip"], captioner_max_tokens=1)
    positions = mine._model.config.text_config.max_position_embeddings
    kept = " ".join(["red"] * (positions - 3) + ["petals"])
    assert mine.caption(images, "blue " * 9 + kept) == mine.caption(images, kept)

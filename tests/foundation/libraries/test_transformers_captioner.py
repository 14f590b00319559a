"""BLIP, BLIP-2 and chat models as captioners, each real class built tiny."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.location import embedded_folder

PROMPTS = ["a picture of", "question: what colour are the petals? answer:"]


@pytest.fixture(scope="module")
def folders(built):
    return {
        "opt": built("blip2"),
        "t5": built("blip2", seq2seq=True),
        "chat": built("llava"),
        "no-chat": built("llava", chat=False),
        "blip": built("blip"),
    }


def captioner(folder, options=""):
    return FoundationModels(ModelSettings(captioner=f"transformers:{folder}?{options}")).captioner


def caption(captioner, images, prompt):
    return captioner.caption_each(images, [prompt])[0]


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_blip2_says_what_its_own_generate_says(kind, folders, images):
    mine = captioner(folders[kind], "max-tokens=6")
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
        assert texts == caption(mine, images, prompt)
        assert texts[1] == caption(mine, images[1:2], prompt)[0]
    assert caption(mine, [], "a") == []
    assert mine.caption_each([], PROMPTS) == [[], []]


def test_a_chat_model_answers_each_image_by_itself(folders, images):
    mine = captioner(folders["chat"], "max-tokens=5")
    answers = caption(mine, images, "what colour are the petals ?")
    assert len(answers) == len(images)
    for image, answer in zip(images, answers, strict=True):
        assert caption(mine, [image], "what colour are the petals ?") == [answer]
        assert "<image>" not in answer
        assert "what colour" not in answer
    assert any(answers)
    assert caption(mine, [], "a") == []


def test_a_chat_model_sees_image_and_prompt(folders, images):
    mine = captioner(folders["chat"], "max-tokens=8")
    other = captioner(folders["chat"], "max-tokens=2")
    prompts = ["the", "what colour are the petals ?", "how many flower ?"]
    answers = {tuple(caption(mine, images, prompt)) for prompt in prompts}
    assert len(answers) > 1
    short = caption(other, images, "the")
    assert all(len(text.split()) <= 2 for text in short)


def test_a_model_without_chat_template_is_refused(folders):
    with pytest.raises(ModelError, match="'llava' without a chat template"):
        captioner(folders["no-chat"])


@pytest.mark.parametrize("kind", ["blip", "opt", "chat"])
def test_captioners_compute_in_the_type_that_is_set(kind, folders, images):
    mine = captioner(folders[kind], "dtype=bf16&max-tokens=3")
    assert mine._model.dtype == torch.bfloat16
    assert len(caption(mine, images, "a picture of")) == len(images)


def test_the_longest_answer_is_a_setting_of_blip_too(folders, images):
    long = caption(captioner(folders["blip"], "max-tokens=12"), images, "a picture of")
    short = caption(captioner(folders["blip"], "max-tokens=2"), images, "a picture of")
    for a, b in zip(long, short, strict=True):
        assert len(b.split()) <= 2
        assert a.startswith(b)


def test_coarse_to_fine_completion_with_a_chat_model(folders, images):
    config = RunConfig.of(
        captioner=f"transformers:{folders['chat']}?max-tokens=3&batch=2",
        prompt_template="instruct",
        caption_questions="what colour are the petals? => {} petals",
    )
    completer = FoundationCompleter(FoundationModels(config.models), config.completion)
    sources = [Source(image, f"{i:064d}") for i, image in enumerate(images)]
    made = completer.complete("text", sources)
    assert made[0].provenance["prompts"] == [
        "Describe this picture in one sentence.",
        "what colour are the petals? Answer with one or two words.",
    ]
    assert [m.provenance["source"] for m in made] == [s.digest for s in sources]


LABELS = ["<image>", "a [SEP] b", "[PAD]", "{}", "花 🌸", "\n", "x " * 400]


@pytest.mark.parametrize("kind", ["blip", "opt", "t5", "chat"])
@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_any_class_name_may_stand_in_a_question(kind, label, folders, images):
    config = RunConfig.of(
        captioner=f"transformers:{folders[kind]}?max-tokens=2",
        caption_questions="what colour are the petals of the {label|flower}? => {} petals",
        prompt_template="instruct" if kind == "chat" else "coarse-to-fine",
    )
    completer = FoundationCompleter(FoundationModels(config.models), config.completion)
    sources = [Source(image, f"{i:064d}", label) for i, image in enumerate(images[:2])]
    sources.append(Source(images[2], f"{2:064d}", "flower"))
    made = completer.complete("text", sources)
    assert len(made) == 3
    for completion in made:
        assert "<image>" not in " ".join(completion.provenance["answers"])


@pytest.mark.parametrize("kind", ["blip", "opt", "t5", "chat"])
def test_the_question_is_no_part_of_the_answer(kind, folders, images):
    mine = captioner(folders[kind], "max-tokens=3")
    tokens = mine._processor.tokenizer
    for answer in caption(mine, images, "question: how many petals? answer:"):
        assert len(tokens(answer, add_special_tokens=False)["input_ids"]) <= 3


def test_of_a_prompt_that_is_too_long_the_end_stays(folders, images):
    mine = captioner(folders["blip"], "max-tokens=1")
    positions = mine._model.config.text_config.max_position_embeddings
    kept = " ".join(["red"] * (positions - 3) + ["petals"])
    assert caption(mine, images, "blue " * 9 + kept) == caption(mine, images, kept)


def test_captions_are_the_continuation_alone(folders, images):
    mine = captioner(folders["blip"])
    texts = caption(mine, images, "a picture of")
    assert len(texts) == len(images)
    assert all(text == text.strip() and "[" not in text for text in texts)
    ids = mine._processor.tokenizer("a picture of", return_tensors="pt")["input_ids"]
    pixels = mine._processor.image_processor(images=[images[0]], return_tensors="pt")
    whole = mine._model.generate(
        pixel_values=pixels["pixel_values"], input_ids=ids, max_new_tokens=20, do_sample=False
    )
    decoded = mine._processor.tokenizer.decode(whole[0], skip_special_tokens=True)
    assert decoded.removeprefix("a picture of").strip().startswith(texts[0][:20])
    assert caption(mine, [images[0].convert("RGBA")], "a picture of") == texts[:1]
    assert len(caption(mine, images[:1], "a " * 22)) == 1  # as long as the model's memory


def test_several_prompts_give_what_each_gives_alone(folders, images):
    mine = captioner(folders["blip"])
    together = mine.caption_each(images, PROMPTS)
    assert together == [caption(mine, images, prompt) for prompt in PROMPTS]
    alone = [caption(mine, [image], PROMPTS[0])[0] for image in images]
    assert together[0] == alone
    assert caption(mine, [], "a picture of") == []


def without(path, lost):
    """Take the first tensors with such names out of a safetensors file; return their names."""
    state = load_file(path)
    names = sorted(name for name in state if lost in name)[:10]
    assert names
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return names


@pytest.mark.parametrize("builder", ["blip", "blip2", "llava"])
def test_a_captioner_that_lacks_weights(builder, copied):
    folder = copied(builder)
    names = without(folder / "model.safetensors", "layers.1" if builder != "blip" else "layer.1")
    with pytest.raises(ModelError) as error:
        captioner(folder)
    assert f"{folder} lacks {len(names)} weights of " in str(error.value)
    assert str(error.value).count(",") == 3  # three names of them


def test_the_embedded_captioner_without_ten_of_its_weights(tmp_path):
    folder = shutil.copytree(embedded_folder("captioner", "captioner"), tmp_path / "captioner")
    names = without(folder / "model.safetensors", "layer.0")
    with pytest.raises(ModelError, match=rf"lacks 10 weights of .*{names[0]}.*complete"):
        captioner(folder)

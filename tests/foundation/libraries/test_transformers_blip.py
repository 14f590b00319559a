"""BLIP and BLIP-2: what they say is what their own `generate` says, an image is seen once."""

import pytest
import torch

PROMPTS = ["a picture of", "question: what colour are the petals? answer:"]


@pytest.mark.parametrize("kind", ["opt", "t5"])
def test_blip2_says_what_its_own_generate_says(kind, folders, images, captioner, caption):
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


def test_the_longest_answer_is_a_setting_of_blip_too(folders, images, captioner, caption):
    long = caption(captioner(folders["blip"], "max-tokens=12"), images, "a picture of")
    short = caption(captioner(folders["blip"], "max-tokens=2"), images, "a picture of")
    for a, b in zip(long, short, strict=True):
        assert len(b.split()) <= 2
        assert a.startswith(b)


def test_of_a_prompt_that_is_too_long_the_end_stays(folders, images, captioner, caption):
    mine = captioner(folders["blip"], "max-tokens=1")
    positions = mine._model.config.text_config.max_position_embeddings
    kept = " ".join(["red"] * (positions - 3) + ["petals"])
    assert caption(mine, images, "blue " * 9 + kept) == caption(mine, images, kept)


def test_captions_are_the_continuation_alone(folders, images, captioner, caption):
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


def test_several_prompts_give_what_each_gives_alone(folders, images, captioner, caption):
    mine = captioner(folders["blip"])
    together = mine.caption_each(images, PROMPTS)
    assert together == [caption(mine, images, prompt) for prompt in PROMPTS]
    alone = [caption(mine, [image], PROMPTS[0])[0] for image in images]
    assert together[0] == alone
    assert caption(mine, [], "a picture of") == []


@pytest.mark.parametrize(("kind", "tower"), [("blip", "vision_model"), ("opt", "qformer")])
def test_an_image_is_seen_once_for_any_number_of_prompts(kind, tower, folders, images, captioner):
    mine = captioner(folders[kind], "max-tokens=2")
    model, calls = mine._model, []
    part = getattr(model, tower, None) or getattr(model.model, tower)
    part.register_forward_hook(lambda *_: calls.append(tower))
    assert len(mine.caption_each(images, PROMPTS * 2)) == 4
    assert calls == [tower]

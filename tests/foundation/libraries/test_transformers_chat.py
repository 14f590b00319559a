"""Chat models: one question with one image per chat, and nothing of it in the answer."""

from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.libraries.transformers_chat import decoded


def test_a_chat_model_answers_each_image_by_itself(folders, images, captioner, caption):
    mine = captioner(folders["chat"], "max-tokens=5")
    answers = caption(mine, images, "what colour are the petals ?")
    assert len(answers) == len(images)
    for image, answer in zip(images, answers, strict=True):
        assert caption(mine, [image], "what colour are the petals ?") == [answer]
        assert "<image>" not in answer
        assert "what colour" not in answer
    assert any(answers)
    assert caption(mine, [], "a") == []


def test_a_chat_model_sees_image_and_prompt(folders, images, captioner, caption):
    mine = captioner(folders["chat"], "max-tokens=8")
    other = captioner(folders["chat"], "max-tokens=2")
    prompts = ["the", "what colour are the petals ?", "how many flower ?"]
    answers = {tuple(caption(mine, images, prompt)) for prompt in prompts}
    assert len(answers) > 1
    short = caption(other, images, "the")
    assert all(len(text.split()) <= 2 for text in short)


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


def test_the_user_says_the_prompt_word_for_word(folders, images, captioner, monkeypatch):
    mine = captioner(folders["chat"], "max-tokens=1")
    said, processor = [], mine._processor
    apply = processor.apply_chat_template
    monkeypatch.setattr(
        processor, "apply_chat_template", lambda chats, **o: said.extend(chats) or apply(chats, **o)
    )
    mine.caption_each(images[:2], ["how many <image>petals ?"])
    assert [turn["role"] for chat in said for turn in chat] == ["user", "user"]
    for (turn,), image in zip(said, images, strict=False):
        picture, words = turn["content"]
        assert picture["image"].tobytes() == image.tobytes()
        assert words["text"].split() == ["how", "many", "petals", "?"]


def test_decoded_texts_are_on_one_line(folders, captioner):
    processor = captioner(folders["chat"])._processor
    ids = processor.tokenizer(["red", "a  red flower"], padding=True, return_tensors="pt").input_ids
    assert decoded(processor, ids) == ["red", "a red flower"]

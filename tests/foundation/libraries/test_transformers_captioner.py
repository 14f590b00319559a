"""BLIP, BLIP-2 and chat models as captioners, each real class built tiny."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.completion.contents import Source
from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels


def test_a_model_without_chat_template_is_refused(folders, captioner):
    with pytest.raises(ModelError, match="'llava' without a chat template"):
        captioner(folders["no-chat"])


@pytest.mark.parametrize("kind", ["blip", "opt", "chat"])
def test_captioners_compute_in_the_type_that_is_set(kind, folders, images, captioner, caption):
    mine = captioner(folders[kind], "dtype=bf16&max-tokens=3")
    assert mine._model.dtype == torch.bfloat16
    assert len(caption(mine, images, "a picture of")) == len(images)


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
def test_the_question_is_no_part_of_the_answer(kind, folders, images, captioner, caption):
    mine = captioner(folders[kind], "max-tokens=3")
    tokens = mine._processor.tokenizer
    for answer in caption(mine, images, "question: how many petals? answer:"):
        assert len(tokens(answer, add_special_tokens=False)["input_ids"]) <= 3

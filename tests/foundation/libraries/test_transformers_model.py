"""Nothing of a model is left at random, and nothing of a prompt is read as a token of its own."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.location import embedded_folder
from fedmvp_flwr.foundation.libraries.transformers_model import (
    require_whole,
    require_words,
    without_special_tokens,
)


def without(path, lost):
    """Take the first tensors with such names out of a safetensors file; return their names."""
    state = load_file(path)
    names = sorted(name for name in state if lost in name)[:10]
    assert names
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return names


@pytest.mark.parametrize("builder", ["blip", "blip2", "llava"])
def test_a_captioner_that_lacks_weights(builder, copied, captioner):
    folder = copied(builder)
    names = without(folder / "model.safetensors", "layers.1" if builder != "blip" else "layer.1")
    with pytest.raises(ModelError) as error:
        captioner(folder)
    assert f"{folder} lacks {len(names)} weights of " in str(error.value)
    assert str(error.value).count(",") == 3  # three names of them


def test_the_embedded_captioner_without_ten_of_its_weights(tmp_path, captioner):
    folder = shutil.copytree(embedded_folder("captioner", "captioner"), tmp_path / "captioner")
    names = without(folder / "model.safetensors", "layer.0")
    with pytest.raises(ModelError, match=rf"lacks 10 weights of .*{names[0]}.*complete"):
        captioner(folder)


def test_a_checkpoint_that_lacks_weights_is_refused(copied):
    folder = copied("bert")
    state = load_file(folder / "model.safetensors")
    del state[next(key for key in state if "attention" in key)]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights"):
        _ = FoundationModels(ModelSettings(text_encoder=f"transformers:{folder}")).text_encoder


def test_of_many_missing_weights_the_first_are_named(tmp_path):
    names = (f"layer.{number}" for number in (3, 1, 4, 2))
    with pytest.raises(ModelError, match=r"lacks 4 weights of Linear \(layer\.1, .*3, \.\.\.\)"):
        require_whole(tmp_path, torch.nn.Linear(1, 1), names)
    require_whole(tmp_path, torch.nn.Linear(1, 1), [])


def test_a_tokenizer_of_special_tokens_alone_is_refused(tmp_path):
    class Words(list):
        @property
        def added_tokens_decoder(self):
            return {0: "[PAD]", 1: "[SEP]"}

    require_words(tmp_path, Words("abc"))
    with pytest.raises(ModelError, match=f"{tmp_path} lacks the vocabulary of its tokenizer"):
        require_words(tmp_path, Words("ab"))


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("a <image> of </s>", "a   of  "),
        ("<image><image_2>", "  "),
        ("plain <b>words</b>", "plain <b>words</b>"),
    ],
)
def test_special_tokens_are_taken_out_of_a_prompt_the_longest_first(prompt, kept):
    tokenizer = SimpleNamespace(
        added_tokens_decoder={
            1: AddedToken("<image>", special=True),
            2: AddedToken("<image_2>", special=True),
            3: AddedToken("<b>", special=False),
        },
        all_special_tokens=["</s>"],
    )
    assert without_special_tokens(prompt, tokenizer) == kept

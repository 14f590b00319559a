"""The arguments of a pipeline's call: lengths of several tokenizers, settings it does not take."""

import json
from types import SimpleNamespace

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.libraries.diffusers_call import call_arguments
from fedmvp_flwr.foundation.spec import ModelOptions

NO_LIMIT = int(1e30)  # what transformers says of a tokenizer without one


class Flux:
    """Takes what a pipeline with a T5 beside its CLIP takes, and has such tokenizers."""

    def __init__(self, *lengths):
        names = ("tokenizer", "tokenizer_2", "tokenizer_3")
        parts = [length and SimpleNamespace(model_max_length=length) for length in lengths]
        self.components = dict(zip(names, parts, strict=False)) | {"vae": object()}

    def __call__(self, prompt, num_inference_steps=28, max_sequence_length=512):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((77, 512), 512),
        ((77, 256), 256),
        ((77, 77, 4096), 512),
        ((77, NO_LIMIT), 512),
        ((77, 77, None), 77),  # Stable Diffusion 3 without its T5
        ((12,), 12),
        ((), None),
    ],
)
def test_prompts_are_as_long_as_the_longest_tokenizer_reads(lengths, expected, tmp_path):
    call = call_arguments(Flux(*lengths), tmp_path, ModelOptions())
    assert call == ({} if expected is None else {"max_sequence_length": expected})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance": 2.0}, "guidance=2.0: Flux of .* no guidance_scale"),
        ({"size": 64}, "size=64: Flux of .* takes no height"),
    ],
)
def test_an_option_that_the_pipeline_does_not_take(settings, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        call_arguments(Flux(77, 512), tmp_path, ModelOptions(**settings, steps=2))


def test_options_override_the_folder(tmp_path):
    text = json.dumps({"call": {"num_inference_steps": 4, "max_sequence_length": 100}})
    (tmp_path / "fedmvp.json").write_text(text)
    call = call_arguments(Flux(77, 512), tmp_path, ModelOptions(steps=2))
    assert call == {"max_sequence_length": 100, "num_inference_steps": 2}

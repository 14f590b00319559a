"""Pipelines of diffusers, built tiny: what is asked for is what they draw."""

import json
import shutil

import numpy as np
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
from fedmvp_flwr.foundation.libraries.diffusers_generator import _place


def generator_of(folder, options=""):
    settings = ModelSettings(image_generator=f"diffusers:{folder}?{options}")
    return FoundationModels(settings).image_generator


def levels(image):
    return np.asarray(image, dtype=int)


@pytest.mark.parametrize(
    ("kind", "options"), [("pixart", ""), ("stable_diffusion", "steps=2&guidance=2.0")]
)
def test_an_image_depends_on_its_prompt_and_seed_alone(kind, options, built):
    generator = generator_of(built(kind), options)
    assert generator.generate([], []) == []
    prompts = ["a red flower", "the blue flower", "a red flower", "花"]
    images = generator.generate(prompts, [1, 2, 3, 2**63 - 1])
    alone = generator.generate(prompts[1:2], [2])[0]
    assert {(image.mode, image.size) for image in images} == {("RGB", (16, 16))}
    assert np.abs(levels(images[1]) - levels(alone)).max() <= 1
    assert np.abs(levels(images[0]) - levels(images[2])).max() > 1  # another seed


def test_options_override_what_the_folder_says(built):
    folder = built("pixart")
    assert generator_of(folder)._call == {
        "use_resolution_binning": False,
        "clean_caption": False,
        "max_sequence_length": 12,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
    }
    call = generator_of(folder, "steps=3&guidance=0")._call
    assert (call["num_inference_steps"], call["guidance_scale"]) == (3, 0.0)


def test_size_and_type_of_the_images_are_options(built):
    options = "steps=1&guidance=1&size=24&dtype=bf16"
    generator = generator_of(built("stable_diffusion"), options)
    assert (
        generator._pipeline.unet.dtype == generator._pipeline.text_encoder.dtype == torch.bfloat16
    )
    assert [image.size for image in generator.generate(["a red flower"], [1])] == [(24, 24)]


def test_every_option_reaches_the_pipeline(built):
    options = "steps=2&guidance=3.5&size=24&batch=2"
    config = RunConfig.of(image_generator=f"diffusers:{built('stable_diffusion')}?{options}")
    models = FoundationModels(config.models)
    generator = models.image_generator
    calls, real = [], generator._pipeline

    def pipeline(**arguments):
        calls.append(arguments)
        return real(**arguments)

    generator._pipeline = pipeline
    texts = ["a red flower", "the blue flower", "a flower"]
    sources = [Source(text, f"{row:064d}") for row, text in enumerate(texts)]
    assert len(FoundationCompleter(models, config.completion).complete("image", sources)) == 3
    # The last one is alone; a batch of one would be computed by another kernel.
    assert [len(call["prompt"]) for call in calls] == [2, 2]
    for call in calls:
        assert (call["num_inference_steps"], call["guidance_scale"]) == (2, 3.5)
        assert call["height"] == call["width"] == 24


@pytest.mark.parametrize("way", ["model", "sequential"])
def test_offloading_needs_a_gpu(way, built):
    with pytest.raises(ModelError, match=f"image-generator.*offload={way} needs a GPU"):
        generator_of(built("pixart"), f"offload={way}")


class Pipeline:
    def __init__(self):
        self.calls = []

    def to(self, device):
        self.calls.append(("none", device))

    def enable_model_cpu_offload(self, device):
        self.calls.append(("model", device))

    def enable_sequential_cpu_offload(self, device):
        self.calls.append(("sequential", device))


@pytest.mark.parametrize("way", ["none", "model", "sequential"])
def test_the_device_and_offloading_reach_the_pipeline(way, monkeypatch):
    monkeypatch.setattr("diffusers.utils.is_accelerate_available", lambda: True)
    pipeline = Pipeline()
    _place(pipeline, way, "cuda:1")
    assert pipeline.calls == [(way, "cuda:1")]
    monkeypatch.setattr("diffusers.utils.is_accelerate_available", lambda: False)
    if way != "none":
        with pytest.raises(ModelError, match="accelerate"):
            _place(pipeline, way, "cuda:1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (json.dumps({"call": {"no_such_argument": 1}}), "takes no no_such_argument"),
        (json.dumps({"call": [1]}), "expected"),
        (json.dumps({}), "call"),
        ("{", "JSON"),
    ],
)
def test_wrong_settings_of_the_folder(settings, message, copied):
    folder = copied("pixart")
    (folder / "fedmvp.json").write_text(settings)
    with pytest.raises(ModelError, match=f"fedmvp.json.*{message}"):
        generator_of(folder)


@pytest.mark.parametrize("name", ["pixart", "stable_diffusion"])
def test_a_size_that_the_pipeline_refuses(name, built):
    generator = generator_of(built(name), "size=20&steps=1")
    with pytest.raises(ModelError, match=r"divisible by 8.*options size"):
        generator.generate(["a red flower"], [1])


def without(path, lost):
    """Take the first tensors with such names out of a safetensors file; return their names."""
    state = load_file(path)
    names = sorted(name for name in state if lost in name)[:10]
    assert names
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return names


@pytest.mark.parametrize(
    ("part", "file", "lost", "kind"),
    [
        ("text_encoder", "model", "layer.0", "T5EncoderModel"),
        ("text_encoder", "model", "shared", "T5EncoderModel"),  # tied to another one
        ("transformer", "diffusion_pytorch_model", "proj_out", "PixArtTransformer2DModel"),
        ("vae", "diffusion_pytorch_model", "decoder.conv_in", "AutoencoderKL"),
    ],
)
def test_a_generator_of_which_a_part_lacks_weights(part, file, lost, kind, copied):
    folder = copied("pixart")
    without(folder / part / f"{file}.safetensors", lost)
    with pytest.raises(ModelError, match=rf"{part} lacks \d+ weights of {kind} \(.*{lost}"):
        generator_of(folder)


def test_the_embedded_generator_without_ten_of_its_weights(tmp_path):
    whole = embedded_folder("image-generator", "generator")
    folder = shutil.copytree(whole, tmp_path / "generator")
    assert generator_of(folder)
    without(folder / "text_encoder" / "model.safetensors", "encoder.block")
    with pytest.raises(ModelError, match=r"text_encoder lacks 10 weights of T5EncoderModel"):
        generator_of(folder)


def test_whole_parts_are_loaded_once(built, monkeypatch):
    monkeypatch.setattr(
        "fedmvp_flwr.foundation.libraries.diffusers_generator.require_whole",
        lambda *_: pytest.fail("loaded again"),
    )
    for name in ("pixart", "stable_diffusion"):
        assert generator_of(built(name))


def test_weights_by_the_names_of_older_checkpoints_are_no_missing_ones(copied):
    folder = copied("pixart")
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def renamed(name):
        for new, older in old.items():
            if "mid_block.attentions" in name:
                name = name.replace(f".{new}.", f".{older}.")
        return name

    state = load_file(path)
    assert any(renamed(name) != name for name in state)
    save_file({renamed(name): t for name, t in state.items()}, path, metadata={"format": "pt"})
    generator = generator_of(folder)
    loaded = generator._pipeline.vae.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_an_incomplete_file_is_not_made_whole_by_another_variant(copied):
    folder = copied("pixart")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    shutil.copy(path, path.with_name("diffusion_pytorch_model.other.safetensors"))
    assert generator_of(folder)
    without(path, "proj_out")
    with pytest.raises(ModelError, match="transformer lacks"):
        generator_of(folder)


def split(place, stem, weights):
    """Put an index beside a file of weights, that names another file for all tensors."""
    path = place / f"{stem}.safetensors"
    names = dict.fromkeys(load_file(path), weights)
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": names})
    (place / f"{stem}.safetensors.index.json").write_text(text)
    return path


def test_split_weights_are_loaded_as_whole_ones(copied):
    folder = copied("pixart")
    place, stem = folder / "transformer", "diffusion_pytorch_model"
    name = f"{stem}-00001-of-00001.safetensors"
    split(place, stem, name).rename(place / name)
    assert generator_of(folder)


def test_a_pipeline_that_fails_with_its_settings_is_told_as_such():
    generator = FoundationModels(ModelSettings(image_generator="diffusers:embedded?steps=1"))
    message = (
        r"PixArtAlphaPipeline does not draw with .*'num_inference_steps': 1.*Change the options"
    )
    with pytest.raises(ModelError, match=message):
        generator.image_generator.generate(["a flower"], [1])

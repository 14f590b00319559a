"""Captioners and generators that lack weights are refused, and so are indices of pickles."""

import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.checks import model_problems
from fedmvp_flwr.foundation.folders.location import embedded_folder
from fedmvp_flwr.foundation.specs import parse_spec

KINDS = {"captioner": "transformers", "image-generator": "diffusers"}


def load(key, folder, **settings):
    role = key.replace("-", "_")
    spec = f"{KINDS[key]}:{folder}"
    return getattr(FoundationModels(RunConfig.of(**{role: spec}, **settings)), role)


def without(path, lost):
    """Take the first tensors with such names out of a safetensors file; return their names."""
    state = load_file(path)
    names = sorted(name for name in state if lost in name)[:10]
    assert names
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    save_file(kept, path, metadata={"format": "pt"})
    return names


@pytest.mark.parametrize("builder", ["blip", "blip2", "llava"])
def test_a_captioner_that_lacks_weights(builder, tiny, tmp_path):
    folder = getattr(tiny, f"build_{builder}")(tmp_path / builder)
    assert load("captioner", folder)
    names = without(folder / "model.safetensors", "layers.1" if builder != "blip" else "layer.1")
    with pytest.raises(ModelError) as error:
        load("captioner", folder)
    assert f"{folder} lacks {len(names)} weights of " in str(error.value)
    assert str(error.value).count(",") == 3  # three names of them


def test_the_embedded_captioner_without_ten_of_its_weights(tmp_path):
    folder = shutil.copytree(embedded_folder("captioner", "captioner"), tmp_path / "captioner")
    names = without(folder / "model.safetensors", "layer.0")
    with pytest.raises(ModelError, match=rf"lacks 10 weights of .*{names[0]}.*complete"):
        load("captioner", folder)


@pytest.mark.parametrize(
    ("part", "file", "lost", "kind"),
    [
        ("text_encoder", "model", "layer.0", "T5EncoderModel"),
        ("text_encoder", "model", "shared", "T5EncoderModel"),  # tied to another one
        ("transformer", "diffusion_pytorch_model", "proj_out", "PixArtTransformer2DModel"),
        ("vae", "diffusion_pytorch_model", "decoder.conv_in", "AutoencoderKL"),
    ],
)
def test_a_generator_of_which_a_part_lacks_weights(part, file, lost, kind, pixart_folder, tmp_path):
    folder = shutil.copytree(pixart_folder, tmp_path / "pixart")
    without(folder / part / f"{file}.safetensors", lost)
    with pytest.raises(ModelError, match=rf"{part} lacks \d+ weights of {kind} \(.*{lost}"):
        load("image-generator", folder)


def test_the_embedded_generator_without_ten_of_its_weights(tmp_path):
    whole = embedded_folder("image-generator", "generator")
    folder = shutil.copytree(whole, tmp_path / "generator")
    assert load("image-generator", folder)
    without(folder / "text_encoder" / "model.safetensors", "encoder.block")
    with pytest.raises(ModelError, match=r"text_encoder lacks 10 weights of T5EncoderModel"):
        load("image-generator", folder)


def test_whole_parts_are_loaded_once(pixart_folder, stable_diffusion_folder, monkeypatch):
    monkeypatch.setattr(
        "fedmvp_flwr.foundation.libraries.diffusers_parts._missing",
        lambda *_: pytest.fail("loaded again"),
    )
    for folder in (pixart_folder, stable_diffusion_folder):
        assert load("image-generator", folder)


def test_weights_by_the_names_of_older_checkpoints_are_no_missing_ones(pixart_folder, tmp_path):
    folder = shutil.copytree(pixart_folder, tmp_path / "pixart")
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
    generator = load("image-generator", folder)
    loaded = generator._pipeline.vae.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_an_incomplete_file_is_not_made_whole_by_another_variant(pixart_folder, tmp_path):
    folder = shutil.copytree(pixart_folder, tmp_path / "pixart")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    shutil.copy(path, path.with_name("diffusion_pytorch_model.other.safetensors"))
    assert load("image-generator", folder)
    without(path, "proj_out")
    with pytest.raises(ModelError, match="transformer lacks"):
        load("image-generator", folder)


def split(place, stem, weights):
    """Put an index beside a file of weights, that names another file for all tensors."""
    path = place / f"{stem}.safetensors"
    names = dict.fromkeys(load_file(path), weights)
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": names})
    (place / f"{stem}.safetensors.index.json").write_text(text)
    return path


@pytest.mark.parametrize(
    ("builder", "part", "stem", "role"),
    [
        ("vit", "", "model", "image-encoder"),
        ("blip", "", "model", "captioner"),
        ("pixart", "text_encoder", "model", "image-generator"),
        ("pixart", "transformer", "diffusion_pytorch_model", "image-generator"),
    ],
)
def test_split_weights_that_are_pickles_are_never_opened(
    builder, part, stem, role, tiny, tmp_path, monkeypatch
):
    folder = getattr(tiny, f"build_{builder}")(tmp_path / builder)
    path = split(folder / part, stem, "w.bin")
    torch.save(load_file(path), folder / part / "w.bin")
    path.rename(path.with_name("other.safetensors"))
    opened = []
    monkeypatch.setattr(torch, "load", lambda file, *_, **__: opened.append(file))
    library = KINDS.get(role, "transformers")
    key = role.replace("-", "_")
    config = RunConfig.of(**{key: f"{library}:{folder}"}, image_grid=1)
    with pytest.raises(ModelError, match=r"index\.json: names 'w\.bin'; expected names of"):
        getattr(FoundationModels(config), key)
    assert opened == []
    (found,) = model_problems(parse_spec(key, f"{library}:{folder}"), config)
    assert "names 'w.bin'" in found


def test_split_weights_are_loaded_as_whole_ones(pixart_folder, tmp_path):
    folder = shutil.copytree(pixart_folder, tmp_path / "pixart")
    place, stem = folder / "transformer", "diffusion_pytorch_model"
    name = f"{stem}-00001-of-00001.safetensors"
    split(place, stem, name).rename(place / name)
    assert load("image-generator", folder)


@pytest.mark.parametrize("named", ["adapter_model.bin", "../model.safetensors", 3])
def test_a_config_that_names_other_weights(named, tiny, tmp_path):
    folder = tiny.build_blip(tmp_path / "blip")
    with (folder / "adapter_model.bin").open("wb") as file:
        pickle.dump({}, file)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": named}))
    with pytest.raises(ModelError, match="'transformers_weights' is"):
        load("captioner", folder)
    (found,) = model_problems(parse_spec("captioner", f"transformers:{folder}"), RunConfig.of())
    assert found.startswith(f"{folder / 'config.json'}: 'transformers_weights' is {named!r}")

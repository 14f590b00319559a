"""A pipeline of which a part lacks weights is refused, and no whole one is."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.location import embedded_folder


def load(folder):
    return FoundationModels(ModelSettings(image_generator=f"diffusers:{folder}")).image_generator


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
        load(folder)


def test_the_embedded_generator_without_ten_of_its_weights(tmp_path):
    whole = embedded_folder("image-generator", "generator")
    folder = shutil.copytree(whole, tmp_path / "generator")
    assert load(folder)
    without(folder / "text_encoder" / "model.safetensors", "encoder.block")
    with pytest.raises(ModelError, match=r"text_encoder lacks 10 weights of T5EncoderModel"):
        load(folder)


def test_whole_parts_are_loaded_once(built, monkeypatch):
    monkeypatch.setattr(
        "fedmvp_flwr.foundation.libraries.diffusers_parts._missing",
        lambda *_: pytest.fail("loaded again"),
    )
    for name in ("pixart", "stable_diffusion"):
        assert load(built(name))


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
    generator = load(folder)
    loaded = generator._pipeline.vae.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_an_incomplete_file_is_not_made_whole_by_another_variant(copied):
    folder = copied("pixart")
    path = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    shutil.copy(path, path.with_name("diffusion_pytorch_model.other.safetensors"))
    assert load(folder)
    without(path, "proj_out")
    with pytest.raises(ModelError, match="transformer lacks"):
        load(folder)


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
    assert load(folder)

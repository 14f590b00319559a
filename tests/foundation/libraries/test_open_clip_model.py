"""Which file an open_clip folder's weights come from; a pickle beside it is never opened."""

import json
import logging
import pickle

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels

STANDARD = "open_clip_model.safetensors"
PICKLES = (
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "pytorch_model.bin",
    "model.pth",
    "a.pth",
)


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def folder(copied):
    return copied("open_clip")


@pytest.fixture
def opened(monkeypatch):
    """Names of the files that torch is asked to unpickle."""
    names = []

    def refuse(file, *args, **kwargs):
        names.append(str(file))
        raise AssertionError(f"{file} was opened")

    monkeypatch.setattr(torch, "load", refuse)
    return names


def model_of(spec):
    settings = ModelSettings(image_encoder=spec, image_grid=2)
    return FoundationModels(settings).image_encoder._clip.model


def same(model, weights):
    state = model.state_dict()
    expected = load_file(weights)
    return all(torch.equal(state[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("name", ["weights.safetensors", "zz.safetensors", STANDARD])
def test_a_pickle_beside_the_weights_is_never_opened(folder, tmp_path, opened, name):
    (folder / STANDARD).rename(folder / name)
    for pickled in PICKLES:
        with (folder / pickled).open("wb") as file:
            pickle.dump(Evil(tmp_path / "evil"), file)
    spec = f"open_clip:{folder}"
    assert same(model_of(spec), folder / name)
    assert opened == []
    assert not (tmp_path / "evil").exists()


def test_pickled_weights_alone_are_refused(folder, opened):
    (folder / STANDARD).rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \.safetensors weights"):
        FoundationModels(ModelSettings(image_encoder=f"open_clip:{folder}")).fingerprint(
            "image_encoder"
        )
    with pytest.raises(ModelError, match=r"holds no \.safetensors file\. Convert"):
        model_of(f"open_clip:{folder}")
    assert opened == []


def test_of_two_files_one_has_to_be_named(folder):
    state = load_file(folder / STANDARD)
    save_file({name: -tensor for name, tensor in state.items()}, folder / "weights.safetensors")
    message = f"found {STANDARD}, weights.safetensors. Name the file instead of the folder."
    with pytest.raises(ModelError) as error:
        model_of(f"open_clip:{folder}")
    assert message in str(error.value)
    for name in (STANDARD, "weights.safetensors"):
        spec = f"open_clip:{folder}/{name}"
        assert same(model_of(spec), folder / name)


def test_on_the_hub_the_file_of_open_clips_own_name_counts(folder, tmp_path, opened):
    place = tmp_path / "models--owner--clip" / "snapshots" / "0123abcd"
    place.parent.mkdir(parents=True)
    folder.rename(place)
    save_file({"of.transformers": torch.zeros(2)}, place / "model.safetensors")
    (place / PICKLES[0]).write_bytes(b"no weights")
    spec = f"open_clip:{place}"
    assert same(model_of(spec), place / STANDARD)
    (place / STANDARD).rename(place / "other.safetensors")
    with pytest.raises(ModelError, match=r"found model\.safetensors, other\.safetensors"):
        model_of(spec)


def test_weights_of_another_model_are_refused(folder):
    state = load_file(folder / STANDARD)
    del state["visual.proj"]
    save_file(state, folder / STANDARD)
    with pytest.raises(ModelError, match=r"(?s)cannot load.*visual\.proj"):
        model_of(f"open_clip:{folder}")


def test_nobody_is_told_that_the_weights_are_random(folder, caplog):
    (folder / STANDARD).rename(folder / "weights.safetensors")
    (folder / PICKLES[0]).write_bytes(b"no weights")
    with caplog.at_level(logging.WARNING):
        model_of(f"open_clip:{folder}")
        logging.warning("of somebody else")
    assert [record.message for record in caplog.records] == ["of somebody else"]


def test_no_code_of_the_folder_is_run_for_the_tokenizer(folder, tmp_path):
    (folder / "own.py").write_text(
        f"open({str(tmp_path / 'evil')!r}, 'w')\n"
        "from transformers import PreTrainedTokenizerFast\n"
        "class Own(PreTrainedTokenizerFast):\n    pass\n"
    )
    path = folder / "tokenizer_config.json"
    changed = {"auto_map": {"AutoTokenizer": [None, "own.Own"]}, "tokenizer_class": "Own"}
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot load"):
        model_of(f"open_clip:{folder}")
    assert not (tmp_path / "evil").exists()


def test_images_are_encoded_alike_whatever_the_file_is_called(folder):
    image = Image.new("RGB", (20, 24), (200, 30, 90))
    features = []
    for name in (STANDARD, "weights.safetensors"):
        (path,) = folder.glob("*.safetensors")
        path.rename(folder / name)
        settings = ModelSettings(image_encoder=f"open_clip:{folder}", image_grid=2)
        (item,) = FoundationModels(settings).image_encoder.encode([image])
        features.append(item)
    assert torch.equal(features[0].tokens, features[1].tokens)
    assert torch.equal(features[0].pooled, features[1].pooled)

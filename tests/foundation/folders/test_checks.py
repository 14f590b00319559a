"""What keeps a model from being loaded is found in its folder, and nothing is loaded for it."""

import json
import shutil

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.checks import model_problems
from fedmvp_flwr.foundation.folders.location import embedded_folder
from fedmvp_flwr.foundation.specs import parse_spec
from fedmvp_flwr.preflight.checks import preflight

BUILDERS = {  # role, library, rows and columns of the token map
    "vit": ("image_encoder", "transformers", 4),
    "hf_clip": ("image_encoder", "transformers", 4),
    "siglip": ("image_encoder", "transformers", 4),
    "dino_with_registers": ("image_encoder", "transformers", 4),
    "convnext": ("image_encoder", "transformers", None),
    "timm": ("image_encoder", "timm", 3),
    "open_clip": ("image_encoder", "open_clip", 4),
    "bert": ("text_encoder", "transformers", None),
    "blip": ("captioner", "transformers", None),
    "pixart": ("image_generator", "diffusers", None),
    "stable_diffusion": ("image_generator", "diffusers", None),
}
MAPS = {name: side for name, (_, _, side) in BUILDERS.items() if side}
WEIGHTS = {"bert": "model", "timm": "model", "open_clip": "open_clip_model"}
WEIGHTS |= {"pixart": "transformer/diffusion_pytorch_model"}


@pytest.fixture(scope="module")
def folders(tiny_models_module, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_models_module, f"build_{name}")(root / name) for name in BUILDERS}


@pytest.fixture
def copy(folders, tmp_path):
    def build(name):
        return shutil.copytree(folders[name], tmp_path / name)

    return build


def problems(name, folder, architecture="", **settings):
    role, library, _ = BUILDERS[name]
    text = f"{library}:{architecture}:{folder}" if architecture else f"{library}:{folder}"
    settings = {"image_grid": 1} | settings
    return model_problems(parse_spec(role, text), RunConfig.of(**settings))


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", BUILDERS)
def test_a_whole_model_has_no_problem(name, folders):
    assert problems(name, folders[name]) == []


@pytest.mark.parametrize("name", WEIGHTS)
def test_cut_weights_are_named_whatever_the_library(name, copy):
    path = copy(name) / f"{WEIGHTS[name]}.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    (found,) = problems(name, path.parents[WEIGHTS[name].count("/")])
    assert found.startswith(f"{path} has {len(content) - 10:,} bytes")
    path.write_bytes(content[:10] + b"\xff" + content[11:])
    (found,) = problems(name, path.parents[WEIGHTS[name].count("/")])
    assert f"{path} has a damaged header" in found


def test_weights_in_another_folder_are_not_found(copy):
    folder = copy("timm")
    (folder / "part").mkdir()
    (folder / "model.safetensors").rename(folder / "part" / "model.safetensors")
    (found,) = problems("timm", folder)
    assert "lacks 1 file(s): *.safetensors" in found


@pytest.mark.parametrize("name", ["bert", "open_clip", "timm"])
def test_a_damaged_main_file_or_index_is_named(name, copy):
    folder = copy(name)
    main = "open_clip_config.json" if name == "open_clip" else "config.json"
    (folder / main).write_text("{")
    (folder / "model.safetensors.index.json").write_text("[]")
    text = "\n".join(problems(name, folder))
    assert f"{folder / main} is no JSON object" in text
    assert "model.safetensors.index.json: expected the list of split weights" in text


def test_open_clip_without_its_tokenizer(copy):
    folder = copy("open_clip")
    for path in folder.glob("tokenizer*"):
        path.unlink()
    (found,) = problems("open_clip", folder)
    assert "lacks tokenizer.json or vocab.txt or vocab.json" in found
    with pytest.raises(ModelError, match=r"lacks tokenizer\.json or"):
        _ = FoundationModels(RunConfig.of(text_encoder=f"open_clip:{folder}")).text_encoder
    path = folder / "open_clip_config.json"
    parts = json.loads(path.read_text())["model_cfg"]
    del parts["text_cfg"]["hf_tokenizer_name"]  # open_clip's own tokenizer needs no files
    change(path, model_cfg=parts)
    assert problems("open_clip", folder) == []


def test_open_clip_of_a_named_architecture(copy):
    folder = copy("open_clip")
    (found,) = problems("open_clip", folder, "ViT-B-3")
    assert "open_clip knows no model 'ViT-B-3' (did you mean" in found
    assert problems("open_clip", folder, "ViT-B-32") == []  # the weights are not looked into
    (found,) = problems("open_clip", folder, "ViT-B-32", image_grid=8)
    assert "only (7, 7) rows" in found
    path = folder / "open_clip_config.json"
    path.write_text('{"preprocess_cfg": {}}')
    (found,) = problems("open_clip", folder, "ViT-B-32")
    assert f"{path}: expected" in found
    (found,) = problems("open_clip", folder)
    assert "model_cfg" in found
    assert f"open_clip:ARCHITECTURE:{folder}" in found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pretrained_cfg": {"std": [1] * 3, "input_size": [3, 96, 96]}}, "lacks mean"),
        (
            {"pretrained_cfg": {"mean": 0.5, "std": [1] * 3, "input_size": [3, 96, 96]}},
            "expected three numbers each in 'pretrained_cfg' under mean",
        ),
        ({"architecture": "no_such_net"}, "timm knows no model 'no_such_net'"),
        ({"architecture": None}, "timm knows no model"),
        ({"model_args": [1]}, "expected an object under 'model_args'"),
        ({"model_args": {"checkpoint_path": "/x/w.pt"}}, "'model_args' holds checkpoint_path"),
        ({"model_args": {"pretrained": True}}, "'model_args' holds pretrained"),
        ({"model_args": {"pretrained_model_args": {}}}, "holds pretrained_model_args"),
        (
            {"model_args": {"scriptable": True, "cache_dir": "/x", "features_only": True}},
            "holds cache_dir, features_only, scriptable; expected arguments of the network",
        ),
    ],
)
def test_timm_configs_that_the_loader_refuses(changes, message, copy):
    folder = copy("timm")
    change(folder / "config.json", **changes)
    (found,) = problems("timm", folder)
    assert message in found
    models = FoundationModels(RunConfig.of(image_encoder=f"timm:{folder}"))
    with pytest.raises(ModelError, match=message):
        _ = models.image_encoder


def test_a_network_of_timm_that_cannot_be_made_without_numbers_is_left_to_the_loader(copy):
    folder = copy("timm")
    change(folder / "config.json", model_args={"no_such_argument": 1})
    assert problems("timm", folder, image_grid=50) == []


@pytest.mark.parametrize("name", MAPS)
def test_a_grid_finer_than_the_map_is_refused_and_no_coarser_one(name, folders):
    side = MAPS[name]
    assert problems(name, folders[name], image_grid=side) == []
    (found,) = problems(name, folders[name], image_grid=side + 1)
    assert f"image-grid={side + 1}: " in found
    assert f"only ({side}, {side}) rows" in found
    config = RunConfig.of(image_encoder=f"{BUILDERS[name][1]}:{folders[name]}", image_grid=side)
    assert FoundationModels(config).image_encoder.token_width  # and the loader agrees
    with pytest.raises(ModelError, match=f"image-grid={side + 1}: .*only \\({side}, {side}\\)"):
        _ = FoundationModels(config.changed(image_grid=side + 1)).image_encoder


@pytest.mark.parametrize(
    "changes",
    [
        {"size": {"shortest_edge": 16}},
        {"size": {"shortest_edge": 16}, "do_center_crop": None},
        {"do_resize": False},
        {"do_pad": True},
    ],
)
def test_images_of_any_size_have_a_map_of_any_size(changes, copy):
    folder = copy("vit")
    change(folder / "preprocessor_config.json", **changes)
    assert problems("vit", folder, image_grid=50) == []


@pytest.mark.parametrize("name", ["pixart", "stable_diffusion"])
def test_a_size_that_the_pipeline_refuses(name, folders):
    folder = folders[name]
    assert problems(name, folder, generator_size=24) == []
    (found,) = problems(name, folder, generator_size=20)
    assert found.startswith("generator-size=20: ")
    assert "multiples of 8; choose 16 or 24" in found
    generator = FoundationModels(
        RunConfig.of(image_generator=f"diffusers:{folder}", generator_size=20, generator_steps=1)
    ).image_generator
    with pytest.raises(ModelError, match=r"divisible by 8.*generator-size"):
        generator.generate(["a red flower"], [1])


def test_the_preflight_refuses_a_damaged_copy_of_the_embedded_encoder(tmp_path):
    folder = shutil.copytree(embedded_folder("image-encoder", "encoder"), tmp_path / "encoder")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    for path in folder.glob("tokenizer*"):
        path.unlink()
    spec = f"open_clip:{folder}"
    settings = {"train_samples": 20, "test_samples": 4, "cache_dir": str(tmp_path / "cache")}
    found = preflight(RunConfig.of(image_encoder=spec, text_encoder=spec, **settings), 2).problems
    for key in ("image-encoder", "text-encoder"):
        assert any(p.startswith(f"{key}={spec!r}: {weights} ends after 1,000") for p in found)


def test_the_preflight_refuses_too_fine_a_grid_of_the_encoder_not_of_the_gate(tmp_path):
    settings = {"train_samples": 24, "test_samples": 4, "partition": "iid"}
    settings["cache_dir"] = str(tmp_path)
    config = RunConfig.of(image_grid=50, gate_encoder="open_clip:embedded", **settings)
    (found,) = preflight(config, 2).problems
    assert found.startswith("image-encoder='open_clip:embedded': image-grid=50: ")
    assert preflight(config.changed(image_grid=6), 2).problems == []

"""What a model's folder lacks is named file by file, before anything is loaded."""

import json
import shutil

import pytest

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.folders.completeness import declared_width, missing_files
from fedmvp_flwr.foundation.specs import parse_spec
from fedmvp_flwr.preflight.checks import preflight

BUILDERS = {
    "vit": ("image_encoder", "transformers"),
    "convnext": ("image_encoder", "transformers"),
    "timm": ("image_encoder", "timm"),
    "hf_clip": ("text_encoder", "transformers"),
    "bert": ("text_encoder", "transformers"),
    "open_clip": ("text_encoder", "open_clip"),
    "blip": ("captioner", "transformers"),
    "blip2": ("captioner", "transformers"),
    "llava": ("captioner", "transformers"),
    "pixart": ("image_generator", "diffusers"),
    "stable_diffusion": ("image_generator", "diffusers"),
}


@pytest.fixture(scope="module")
def folders(tiny_models_module, tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_models_module, f"build_{name}")(root / name) for name in BUILDERS}


@pytest.fixture
def copy(folders, tmp_path):
    """A model's spec, without the files that match the patterns."""

    def build(name, *gone):
        role, library = BUILDERS[name]
        folder = tmp_path / name
        shutil.copytree(folders[name], folder)
        for pattern in gone:
            for path in folder.glob(pattern):
                path.unlink()
        return parse_spec(role, f"{library}:{folder}")

    return build


@pytest.mark.parametrize("name", BUILDERS)
def test_a_whole_model_lacks_nothing(name, copy):
    assert missing_files(copy(name)) == []


@pytest.mark.parametrize("role", ["image_encoder", "text_encoder", "captioner", "image_generator"])
def test_the_embedded_models_lack_nothing(role):
    assert missing_files(parse_spec(role, getattr(RunConfig.of().models, role))) == []


@pytest.mark.parametrize("name", ["vit", "bert", "hf_clip", "open_clip", "timm"])
def test_no_encoder_is_wider_than_its_folder_says(name, copy):
    spec = copy(name)
    config = RunConfig.of(image_grid=1, **{spec.role: f"{spec.library}:{spec.folder}"})
    encoder = getattr(FoundationModels(config), spec.role)
    assert max(encoder.token_width, encoder.pooled_width) <= declared_width(spec) <= 1280


IMAGES = "preprocessor_config.json or processor_config.json"
WORDS = "tokenizer.json or vocab.txt or vocab.json"


@pytest.mark.parametrize(
    ("name", "gone", "expected"),
    [
        ("vit", ["preprocessor_config.json"], [IMAGES]),
        ("bert", ["tokenizer*", "vocab*"], [WORDS]),
        ("blip", ["tokenizer*", "vocab*", "*processor_config.json"], [IMAGES, WORDS]),
        ("stable_diffusion", ["unet/*.safetensors"], ["unet/*.safetensors"]),
        (
            "stable_diffusion",
            ["vae/config.json", "scheduler/*", "tokenizer/*"],
            [
                "scheduler/scheduler_config.json",
                "tokenizer/tokenizer.json or tokenizer/vocab.txt or tokenizer/vocab.json",
                "vae/config.json",
            ],
        ),
    ],
)
def test_every_missing_file_is_named(name, gone, expected, copy):
    assert missing_files(copy(name, *gone)) == expected


def test_missing_parts_of_split_weights(copy):
    spec = copy("bert")
    weights = spec.folder / "model.safetensors"
    weights.rename(spec.folder / "model-1-of-3.safetensors")
    names = {f"w{part}": f"model-{part}-of-3.safetensors" for part in (1, 2, 3)}
    index = spec.folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert missing_files(spec) == ["model-2-of-3.safetensors", "model-3-of-3.safetensors"]


def test_linked_parts_are_looked_into(copy, tmp_path):
    spec = copy("stable_diffusion")
    (spec.folder / "unet").rename(tmp_path / "elsewhere")
    (spec.folder / "unet").symlink_to(tmp_path / "elsewhere")
    assert missing_files(spec) == []
    index = tmp_path / "elsewhere" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "absent.safetensors"}}))
    assert missing_files(spec) == ["unet/absent.safetensors"]


def test_the_preflight_lists_the_missing_files_of_all_models(copy, tmp_path):
    text, captions = copy("bert", "tokenizer*", "vocab*"), copy("blip", "*processor_config.json")
    config = RunConfig.of(
        text_encoder=f"transformers:{text.folder}",
        captioner=f"transformers:{captions.folder}",
        cache_dir=str(tmp_path / "cache"),
        train_samples=24,
        test_samples=4,
    )
    problems = preflight(config, 2).problems
    for key, files in (("text-encoder", WORDS), ("captioner", IMAGES)):
        (found,) = [p for p in problems if p.startswith(f"{key}=")]
        assert f"lacks 1 file(s): {files}. " in found

"""What is known of a frozen model before it is loaded."""

import json

import pytest
from pydantic import ValidationError

from fedmvp_flwr.foundation.spec import Library, ModelOptions, ModelSpec


def spec(folder, joint_space):
    library = Library("module:loader", 1, "config.json", joint_space=joint_space)
    options = ModelOptions()
    return ModelSpec(
        "image_encoder", "image-encoder", "", "own", library, folder, "", None, options
    )


@pytest.mark.parametrize("joint", [True, False])
def test_a_library_may_say_for_all_its_models_whether_they_are_joint(joint, tmp_path):
    assert spec(tmp_path, joint).joint is joint


@pytest.mark.parametrize(
    ("config", "joint"),
    [
        (json.dumps({"model_type": "clip"}), True),
        (json.dumps({"model_type": "vit"}), False),
        (json.dumps({"model_type": None}), False),
        (json.dumps(["clip"]), False),
        ("{", False),
        (None, False),
    ],
)
def test_or_the_folder_says_it_of_its_own(config, joint, tmp_path):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert spec(tmp_path, frozenset({"clip", "siglip"})).joint is joint


def test_options_are_read_from_text():
    options = ModelOptions.model_validate({"steps": "2", "guidance": "0", "max-tokens": "5"})
    assert options == ModelOptions(steps=2, guidance=0.0, max_tokens=5)
    assert (options.dtype, options.offload, options.batch) == ("fp32", "none", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 0},
        {"steps": 0},
        {"size": -8},
        {"guidance": -0.5},
        {"guidance": "inf"},
        {"dtype": "int8"},
        {"offload": "disk"},
        {"no-such": 1},
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        ModelOptions.model_validate(wrong)


def test_options_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        ModelOptions().batch = 2

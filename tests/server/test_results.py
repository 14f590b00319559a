import json
from types import SimpleNamespace

import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.files import write_json
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.protocol.summary import Completions
from fedmvp_flwr.server.results import (
    code_hash,
    run_hashes,
    save_model,
    total_completions,
)


def client(image=(0, 0, 0), text=(0, 0, 0), split="5", mask="a"):
    names = ("made", "reused", "rejected")
    return SimpleNamespace(
        completions={
            "image": Completions(**dict(zip(names, image, strict=True))),
            "text": Completions(**dict(zip(names, text, strict=True))),
        },
        hashes={"split": split, "mask": mask},
    )


def test_completions_are_summed_by_modality():
    totals = total_completions([client((1, 2, 3), (4, 5, 6)), client((10, 0, 0), (0, 1, 0))])
    assert totals == {
        "image": {"made": 11, "reused": 2, "rejected": 3},
        "text": {"made": 4, "reused": 6, "rejected": 6},
    }
    assert total_completions([]) == {}


def test_the_versions_that_matter():
    found = versions()
    assert found["torch"] == torch.__version__.split("+")[0]
    assert {"python", "flwr", "numpy"} <= found.keys()


def test_hashes_follow_split_masks_and_probe():
    first = [client(mask="a"), client(mask="b")]
    hashes = run_hashes(first, "abc")
    assert hashes["probe"] == "abc"
    assert hashes["code"] == code_hash()
    assert "probe" not in run_hashes(first, None)
    assert run_hashes(first, "abc") == hashes
    swapped = run_hashes(first[::-1], "abc")
    assert swapped["split"] == hashes["split"]
    assert swapped["masks"] != hashes["masks"]
    other = [client(split="6"), first[1]]
    assert run_hashes(other, "abc")["split"] != hashes["split"]


def test_the_model_can_be_built_again_from_its_file(tmp_path, network):
    config = RunConfig.of(model_width=16)
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), config, ["a", "b", "c"])
    tensors, metadata = load_tensors(path)
    assert RunConfig.from_run_config(metadata["config"]) == config
    assert metadata["class-names"] == ["a", "b", "c"]
    network.load_state_dict(tensors)


def test_json_is_readable_and_sorted(tmp_path):
    write_json(tmp_path / "deep" / "a.json", {"b": 1, "a": [None, 0.5]})
    text = (tmp_path / "deep" / "a.json").read_text()
    assert json.loads(text) == {"a": [None, 0.5], "b": 1}
    assert text.index('"a"') < text.index('"b"')

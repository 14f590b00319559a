"""The preflight in a process of its own says what the preflight says."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.folders.location import embedded_folder
from fedmvp_flwr.preflight import separate_process
from fedmvp_flwr.preflight.separate_process import preflight_apart


def _killed(config, num_clients):
    os.kill(os.getpid(), signal.SIGKILL)


def _wrong(config, num_clients):
    raise RuntimeError(f"no {num_clients} clients")


@pytest.mark.slow
def test_everything_wrong_comes_back(tmp_path):
    config = RunConfig.of(
        dataset="folder:/no/data",
        captioner="transformers:/no/model",
        text_encoder="transformers:/no/encoder",
        cache_dir=str(tmp_path),
    )
    report = preflight_apart(config, 2)
    text = "\n".join(report.problems)
    for part in ("/no/data", "captioner", "/no/model", "text-encoder", "/no/encoder"):
        assert part in text


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_found_before_a_run(tmp_path, small_config):
    folder = shutil.copytree(embedded_folder("image-encoder", "encoder"), tmp_path / "encoder")
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    (problem,) = preflight_apart(small_config(gate_encoder=f"open_clip:{folder}"), 2).problems
    assert problem.startswith(f"gate-encoder: open_clip cannot load {folder}: ")


@pytest.mark.parametrize(
    ("broken", "said"), [(_killed, "terminated abruptly"), (_wrong, "no 2 clients")]
)
def test_a_preflight_that_breaks_down_is_named(monkeypatch, broken, said):
    monkeypatch.setattr(separate_process, "_preflight", broken)
    with pytest.raises(FedMVPError, match=f"--no-preflight.*{said}"):
        preflight_apart(RunConfig.of(), 2)


def test_the_command_itself_loads_no_library_of_models():
    code = (
        "import sys, fedmvp_flwr.cli.main, fedmvp_flwr.preflight.separate_process as s; "
        "sys.exit(str({'torch', 'flwr', 'transformers', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"

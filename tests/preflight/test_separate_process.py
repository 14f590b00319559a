"""The preflight in a process of its own says what the preflight says."""

import subprocess

import pytest

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight import separate_process as preflight_child
from fedmvp_flwr.preflight.separate_process import preflight_apart


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


def test_a_preflight_that_breaks_down_is_named(monkeypatch):
    def broken(*_, **__):
        return subprocess.CompletedProcess([], -9, stdout="", stderr="Killed\n")

    monkeypatch.setattr(preflight_child.subprocess, "run", broken)
    with pytest.raises(FedMVPError, match=r"code -9.*--no-preflight.*Killed"):
        preflight_apart(RunConfig.of(), 2)

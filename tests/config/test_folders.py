import os
from pathlib import Path

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config.folders import cache_folder, output_folder, require_writable


def test_folders_are_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cache_folder(RunConfig.of().run) == tmp_path / ".fedmvp" / "cache"
    assert cache_folder(RunConfig.of(cache_dir="~/here").run) == tmp_path / "here"
    assert cache_folder(RunConfig.of(cache_dir="here").run) == tmp_path / "here"
    assert output_folder(RunConfig.of().run, 42) == tmp_path / ".fedmvp" / "runs" / "42"


def test_the_output_folder_is_made_and_left_empty(tmp_path):
    folder = output_folder(RunConfig.of(out_dir=str(tmp_path / "a" / "b")).run, 1)
    assert folder.is_dir()
    assert list(folder.iterdir()) == []


def test_results_go_to_the_run_that_is_gone_on_with(tmp_path):
    config = RunConfig.of(resume=str(tmp_path / "night"))
    assert output_folder(config.run, 1) == tmp_path / "night"
    chosen = RunConfig.of(resume=str(tmp_path / "night"), out_dir=str(tmp_path / "day"))
    assert output_folder(chosen.run, 1) == tmp_path / "day"


def test_an_output_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"out-dir=.*cannot be written"):
        output_folder(RunConfig.of(out_dir=str(tmp_path / "file" / "below")).run, 1)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_rights_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="cannot be written"):
        output_folder(RunConfig.of(out_dir=str(folder)).run, 1)


def test_a_missing_right_is_said_in_words(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(ConfigError, match="Permission denied"):
        output_folder(RunConfig.of(out_dir=str(tmp_path)).run, 1)


def test_a_folder_to_write_into_is_made_and_its_key_is_named(tmp_path):
    assert require_writable(tmp_path / "a" / "b", "cache-dir").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"cache-dir='.*file' cannot be written"):
        require_writable(tmp_path / "file", "cache-dir")

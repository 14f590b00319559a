"""Paths that no folder can have."""

import pwd
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import CheckpointError, ConfigError, DataError, ModelError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.cli.main import app
from fedmvp_flwr.config.folders import cache_folder, output_folder
from fedmvp_flwr.config.node import read_node
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.data.dealing.partition import assign
from fedmvp_flwr.data.reading.classes import read_classes
from fedmvp_flwr.data.reading.files import require_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.registry import parse_spec
from fedmvp_flwr.preflight.checks import preflight
from fedmvp_flwr.server.probe_source import load_probe_file
from fedmvp_flwr.server.resume import load_resume_point
from fedmvp_flwr.simulation.flower_app import absolute_paths, load_app, parse_overrides
from fedmvp_flwr.simulation.launcher import run_simulation

REPOSITORY = Path(__file__).resolve().parents[1]
NOBODY = "~nobody-of-that-name/shop"
SAID = r"'~nobody-of-that-name/shop[^']*': there is no home folder '~nobody-of-that-name'"


def test_a_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/shop") == tmp_path / "shop"
    assert expanded("a/~b") == expanded("a") / "~b"


@pytest.mark.parametrize("error", [DataError, ConfigError])
def test_a_home_folder_that_is_not_there(error):
    with pytest.raises(error, match=SAID):
        expanded(NOBODY, error)


@pytest.mark.parametrize("source", ["cub", "fashion", "flickr30k", "flowers", "folder"])
@pytest.mark.parametrize(
    ("path", "said"),
    [(NOBODY, SAID), ("/" + "x" * 300, "x' is no folder"), ("a" * 5000, "a' is no folder")],
)
def test_folders_of_data(source, path, said):
    with pytest.raises(DataError, match=said):
        load_dataset(RunConfig.of(dataset=f"{source}:{path}").data, Path("/unused"))


def test_other_settings_of_data():
    with pytest.raises(DataError, match=SAID):
        require_folder(NOBODY)
    with pytest.raises(DataError, match=SAID):
        read_classes(RunConfig.of(class_names_file=NOBODY).data)
    samples = [Sample("a", 0, None, "t"), Sample("b", 0, None, "t")]
    with pytest.raises(DataError, match=SAID):
        assign(samples, [], f"file:{NOBODY}.csv", 2, 0)


@pytest.mark.parametrize(
    "overrides",
    [{"dataset": f"folder:{NOBODY}"}, {"dataset": f"hf:{NOBODY}"}, {"cache-dir": NOBODY}],
)
def test_overrides(tmp_path, overrides):
    with pytest.raises(ConfigError, match=SAID):
        absolute_paths(overrides, tmp_path)


def test_a_long_name_of_the_hub_is_no_folder(tmp_path):
    overrides = {"dataset": f"hf:{'x' * 300}"}
    assert absolute_paths(overrides, tmp_path) == overrides


def test_apps_and_files_of_settings(tmp_path):
    with pytest.raises(ConfigError, match=SAID):
        parse_overrides([f"{NOBODY}.toml"])
    with pytest.raises(ConfigError, match=SAID):
        load_app(type(tmp_path)(NOBODY))


def test_the_error_names_the_key(monkeypatch):
    with pytest.raises(ConfigError, match=f"^out-dir={SAID}. Write '~/...' for your own, or give"):
        expanded(NOBODY, ConfigError, "out-dir")

    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)  # as in a container, for a user without a name
    with pytest.raises(
        ConfigError, match=r"no home folder '~'\. Set HOME, or give an absolute path"
    ):
        cache_folder(RunConfig.of().run)


@pytest.mark.parametrize("kind", ["", "local:", "ViT-B-32:"])
def test_models(kind):
    with pytest.raises(ModelError, match=f"^image-encoder=.*{SAID}"):
        parse_spec("image_encoder", f"open_clip:{kind}{NOBODY}", "image-encoder")


def simulated(out):
    return run_simulation(REPOSITORY, run_config={}, num_clients=2, out=out)


def test_folders_of_runs():
    for call, key, error in (
        (lambda: cache_folder(RunConfig.of(cache_dir=NOBODY).run), "cache-dir", ConfigError),
        (lambda: output_folder(RunConfig.of(out_dir=NOBODY).run, 1), "out-dir", ConfigError),
        (lambda: output_folder(RunConfig.of(resume=NOBODY).run, 1), "resume", ConfigError),
        (lambda: RunFolder(Path(NOBODY)).require_overwritable(), "out-dir", ConfigError),
        (lambda: load_resume_point(Path(NOBODY)), "resume", CheckpointError),
        (
            lambda: load_probe_file(RunConfig.of(probe_source=f"file:{NOBODY}").probe),
            "probe-source",
            DataError,
        ),
        (lambda: absolute_paths({"out-dir": NOBODY}, Path()), "out-dir", ConfigError),
        (lambda: simulated(Path(NOBODY)), "out-dir", ConfigError),
    ):
        with pytest.raises(error, match=f"^{key}={SAID}"):
            call()


def test_a_node_is_told_of_all_its_folders_at_once():
    paths = {"data-path": NOBODY, "cache-dir": NOBODY}
    with pytest.raises(ConfigError) as error:
        read_node(paths, RunSettings())
    for key in paths:
        assert f"{key}='{NOBODY}': there is no home folder" in str(error.value)
    assert "partition-id" not in str(error.value).partition("Start a node")[0]


def test_the_preflight_lists_them():
    keys = {"out_dir": NOBODY, "cache_dir": NOBODY, "resume": NOBODY}
    keys |= {"captioner": f"transformers:{NOBODY}", "probe_source": f"file:{NOBODY}"}
    problems = preflight(RunConfig.of(train_samples=20, **keys), 2).problems
    for name in keys:
        key = name.replace("_", "-")
        said = [p for p in problems if f"'{NOBODY}': there is no home" in p]
        assert [p for p in said if p.startswith(f"{key}='")], key
    assert not [problem for problem in problems if "broke down" in problem]


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", NOBODY],
        ["quality", "--out", NOBODY],
        ["pretrain", "--data", "flora", "--out", NOBODY],
        ["simulate", "--out", NOBODY],
        ["simulate", "--resume", NOBODY],
        ["simulate", "-c", f"out-dir='{NOBODY}'"],
    ],
    ids=" ".join,
)
def test_commands(arguments):
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError | CheckpointError)
    assert f"='{NOBODY}': there is no home folder" in str(result.exception)

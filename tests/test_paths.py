"""Paths that no folder can have."""

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.data.assignment import assign
from fedmvp_flwr.data.classes import read_classes
from fedmvp_flwr.data.files import require_folder
from fedmvp_flwr.data.registry import load_dataset
from fedmvp_flwr.data.samples import Sample
from fedmvp_flwr.errors import ConfigError, DataError
from fedmvp_flwr.paths import expanded
from fedmvp_flwr.simulation.app import absolute_paths, load_app, parse_overrides

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
        load_dataset(RunConfig(dataset=f"{source}:{path}"))


def test_other_settings_of_data():
    with pytest.raises(DataError, match=SAID):
        require_folder(NOBODY)
    with pytest.raises(DataError, match=SAID):
        read_classes(RunConfig(class_names_file=NOBODY))
    samples = [Sample("a", 0, None, "t"), Sample("b", 0, None, "t")]
    with pytest.raises(DataError, match=SAID):
        assign(samples, [], RunConfig(partition=f"file:{NOBODY}.csv"), 2)


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

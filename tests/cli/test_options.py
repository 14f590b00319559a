from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.cli.options import CHECKOUT, build_config, config_of, find_app, given_settings
from fedmvp_flwr.simulation.flower_app import FlowerApp

PROJECT = "[tool.flwr.app]\npublisher = 'me'\n[tool.flwr.app.config]\nseed = 5\n"


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "pyproject.toml").write_text(PROJECT)
    return tmp_path / "app"


def test_the_given_app_wins_over_the_checkout(app):
    assert find_app(app).path == app
    assert find_app(None).path == CHECKOUT


def test_without_a_checkout_it_is_this_folder(app, monkeypatch, tmp_path):
    monkeypatch.setattr("fedmvp_flwr.cli.options.CHECKOUT", tmp_path / "none")
    monkeypatch.chdir(app)
    assert find_app(None).defaults == {"seed": 5}
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        find_app(None)


def test_later_settings_win_and_the_cache_option_wins_over_all():
    given = given_settings(["seed=1 alpha=0.5", "seed=2 cache-dir='x'"], Path("/store"))
    assert given == {"seed": 2, "alpha": 0.5, "cache-dir": "/store"}
    assert given_settings(None, None) == {}


def test_settings_stand_on_the_apps_defaults_and_paths_on_this_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = FlowerApp(tmp_path, {"seed": 5, "cache-dir": ""})
    config = build_config(app, {"cache-dir": "store"})
    assert (config.run.seed, config.run.cache_dir) == (5, str(tmp_path / "store"))


def test_a_key_that_the_app_does_not_declare_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="alpha"):
        build_config(FlowerApp(tmp_path, {"seed": 5}), {"alpha": 0.5})


def test_all_options_together(app):
    with pytest.raises(ConfigError, match=r"sed.*did you mean 'seed'"):
        config_of(app, ["sed=3"])
    assert config_of(app, ["seed=3"]).run.seed == 3

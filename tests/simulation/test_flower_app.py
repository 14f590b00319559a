from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.simulation.flower_app import (
    absolute_paths,
    check_keys,
    load_app,
    parse_overrides,
    write_overrides,
)


def test_loads_the_flat_defaults(toy_app: Path) -> None:
    app = load_app(toy_app)
    assert app.path == toy_app.resolve()
    assert app.defaults == {"num-server-rounds": 2, "out-dir": "", "behaviour": "ok", "note": ""}
    assert not app.ships_library


def test_nested_defaults_become_dotted_keys(toy_app: Path) -> None:
    with (toy_app / "pyproject.toml").open("a") as file:
        file.write("[tool.flwr.app.config.model]\nwidth = 8\n")
    assert load_app(toy_app).defaults["model.width"] == 8


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot read"), ("a = [", "not valid TOML"), ("[project]", r"no \[tool.flwr.app\]")],
)
def test_refuses_a_folder_without_an_app(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_app(tmp_path)


def test_reads_pairs_with_their_types() -> None:
    text = """num-server-rounds=5 learning-rate=1e-3 method='fedavg' label-in-prompt=true
    note="two words; and = signs" captioner=transformers:embedded empty=''"""
    assert parse_overrides([text]) == {
        "num-server-rounds": 5,
        "learning-rate": 1e-3,
        "method": "fedavg",
        "label-in-prompt": True,
        "note": "two words; and = signs",
        "captioner": "transformers:embedded",
        "empty": "",
    }


def test_later_items_win_over_files_and_pairs(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("seed = 1\nbatch-size = 8\n")
    assert parse_overrides(["seed=0 alpha=1.0", str(file), "batch-size=4"]) == {
        "seed": 1,
        "alpha": 1.0,
        "batch-size": 4,
    }


@pytest.mark.parametrize(
    "text", ["seed", "seed=1 beta", "seed = 1", "note='open", "=1", "seed=1,", "note='a'b"]
)
def test_refuses_what_flower_would_skip(text: str) -> None:
    if text == "seed=1,":
        assert parse_overrides([text]) == {"seed": "1,"}  # a string: refused by RunConfig
        return
    with pytest.raises(ConfigError, match="--run-config"):
        parse_overrides([text])


def test_refuses_unreadable_files_and_lists(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        parse_overrides([str(tmp_path / "absent.toml")])
    file = tmp_path / "run.toml"
    file.write_text("seed = [1, 2]")
    with pytest.raises(ConfigError, match="seed is a list"):
        parse_overrides([str(file)])


def test_paths_count_from_the_users_folder(tmp_path: Path) -> None:
    given = {"cache-dir": "store", "resume": "", "out-dir": "/abs", "dataset": "flora"}
    assert absolute_paths(given, tmp_path) == {
        "cache-dir": str(tmp_path / "store"),
        "resume": "",
        "out-dir": "/abs",
        "dataset": "flora",
    }


def test_unknown_key_names_the_nearest(toy_app: Path) -> None:
    app = load_app(toy_app)
    check_keys(app, {"behaviour": "x"})
    with pytest.raises(ConfigError, match="'behavior' \\(did you mean 'behaviour'\\?\\)"):
        check_keys(app, {"behavior": "x"})


def test_flower_reads_back_what_is_written(tmp_path: Path) -> None:
    from flwr.common.config import parse_config_args

    overrides = {
        "note": "both ' and \" quotes, a \\ and a tab\t, Blüte 🌼",
        "flag": False,
        "count": -3,
        "rate": 1e-20,
        "big": 1e16,
        "dotted.key": "x",
    }
    path = tmp_path / "run-config.toml"
    write_overrides(overrides, path)
    assert parse_config_args([str(path)]) == overrides


def test_paths_after_a_kind_are_resolved(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "photos").mkdir()
    overrides = {
        "dataset": "folder:photos",
        "partition": "file:owners.csv",
        "missing-pattern": "file:../mask.csv",
        "test-missing-pattern": "content",
        "class-names-file": "names.txt",
    }
    assert absolute_paths(overrides, tmp_path) == {
        "dataset": f"folder:{tmp_path}/photos",
        "partition": f"file:{tmp_path}/owners.csv",
        "missing-pattern": f"file:{tmp_path.parent}/mask.csv",
        "test-missing-pattern": "content",
        "class-names-file": f"{tmp_path}/names.txt",
    }
    for value, expected in (
        ("hf:saved", f"hf:{tmp_path}/saved"),
        ("hf:somebody/saved", "hf:somebody/saved"),
        ("flora:1", "flora:1"),
        ("folder:", "folder:"),
        ("column:site", "column:site"),
    ):
        assert absolute_paths({"dataset": value}, tmp_path) == {"dataset": expected}
    assert absolute_paths({"partition": "column:site"}, tmp_path) == {"partition": "column:site"}

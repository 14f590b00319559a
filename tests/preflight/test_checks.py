"""The preflight finds what is wrong, all of it, and computes nothing."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.checks import preflight


def config(tmp_path, **settings):
    keys = {name.replace("_", "-"): value for name, value in settings.items()}
    return RunConfig.from_run_config(
        {"train-samples": 60, "test-samples": 5, "partition": "iid", "cache-dir": str(tmp_path)}
        | keys
    )


def test_a_sound_run_has_a_row_per_client_and_no_problem(tmp_path):
    report = preflight(config(tmp_path, missing_ratio=0.5), 3)
    assert report.problems == []
    assert [row["client"] for row in report.rows] == [0, 1, 2]
    assert sum(row["samples"] for row in report.rows) == 60
    for row in report.rows:
        assert row["samples"] == row["complete"] + row["image missing"] + row["text missing"]


def test_without_clients_only_what_the_server_knows_is_checked(tmp_path):
    report = preflight(
        config(tmp_path, image_encoder="timm:x:/nowhere", probe_source="file:/no.file"), 0
    )
    assert report.rows == []
    with pytest.raises(DataError, match=r"(?s)2 problem\(s\).*\n- .*nowhere.*\n- .*no.file"):
        report.raise_problems()


def test_everything_wrong_is_listed_at_once(tmp_path):
    settings = {
        "missing_pattern": "random",
        "missing_ratio": 1.0,
        "device": "cuda:99",
        "probe_source": "file:/nowhere.safetensors",
    }
    report = preflight(config(tmp_path, **settings), 3)
    text = "\n".join(report.problems)
    for part in ("missing-ratio=1", "cuda:99", "/nowhere.safetensors"):
        assert part in text
    assert len(report.problems) == len(set(report.problems))


@pytest.mark.parametrize(
    ("clients", "message"), [(1, "at least 2 clients"), (61, "61 clients cannot share 60")]
)
def test_number_of_clients(tmp_path, clients, message):
    assert message in preflight(config(tmp_path), clients).problems[0]


def test_missing_embedded_models_say_what_to_do(tmp_path, monkeypatch):
    import fedmvp_assets

    def gone(name):
        raise FileNotFoundError(f"The embedded {name} is missing. python -m fedmvp_assets.build")

    monkeypatch.setattr(fedmvp_assets, "model_path", gone)
    problems = preflight(config(tmp_path), 3).problems
    assert any("fedmvp_assets.build" in problem for problem in problems)


def test_an_output_folder_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    problems = preflight(config(tmp_path, out_dir=str(blocked / "out")), 3).problems
    assert any("out-dir" in problem for problem in problems)


def test_a_cache_folder_that_cannot_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    problems = preflight(config(tmp_path, cache_dir=str(blocked / "cache")), 3).problems
    assert problems


def test_what_nobody_foresaw_is_one_problem_among_the_others(tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("colour")

    monkeypatch.setattr("fedmvp_flwr.preflight.checks.load_dataset", broken)
    monkeypatch.setattr("fedmvp_flwr.preflight.frozen_models.model_bytes", broken)
    problems = preflight(config(tmp_path, probe_source="file:/no.file"), 2).problems
    steps = ("image-encoder", "text-encoder", "captioner", "the data set")
    for step in steps:
        (found,) = [p for p in problems if f"looked at {step}: KeyError: 'colour'" in p]
        assert "defect of the program" in found
        assert "report it" in found
    assert any("/no.file" in problem for problem in problems)
    assert "Traceback" in caplog.text

"""How long completion takes, the disk and the message."""

from types import SimpleNamespace

import pytest

from fedmvp_flwr.preflight.checks import preflight


@pytest.mark.slow
def test_a_timed_preflight_estimates_time_disk_and_message(tmp_path, small_config):
    report = preflight(small_config(), 2, timed=True)
    assert report.problems == []
    for name in ("loading s", "completion s", "disk MB", "message MB"):
        assert report.estimates[name] > 0
    assert all(row["ms each"] > 0 and row["kB each"] > 0 for row in report.work)
    store = tmp_path / "cache" / "features-v1.sqlite"
    before = store.stat().st_size
    assert preflight(small_config(), 2).work == [
        {key: row[key] for key in ("work", "all", "left")} for row in report.work
    ]
    assert store.stat().st_size == before  # timing stores nothing


def test_a_message_that_is_too_large_is_found_before_the_run(small_config):
    settings = small_config(max_message_mb=0.01, model_width=64)
    problems = preflight(settings, 2, timed=True).problems
    assert any("max-message-mb" in problem for problem in problems)


@pytest.mark.slow
def test_the_disk_is_compared_with_what_the_run_needs(small_config, monkeypatch):
    report = preflight(small_config(), 2, timed=True)
    assert 0 < report.estimates["disk MB"] < 100
    lines = report.summary()
    assert "MB free" in lines["disk"]
    assert "1 min" in lines["completion takes"]
    assert "24 samples" in lines["clients"]
    monkeypatch.setattr(
        "fedmvp_flwr.preflight.estimates.shutil.disk_usage", lambda _: SimpleNamespace(free=1e5)
    )
    (problem,) = preflight(small_config(), 2, timed=True).problems
    assert "cache-dir=" in problem
    assert "0 MB free" in problem


def test_without_timing_nothing_is_said_of_time_disk_and_message(small_config):
    assert preflight(small_config(), 2).estimates == {}

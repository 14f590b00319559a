import logging

import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.preflight.findings import PreflightReport, attempt

ROW = {"client": 0, "samples": 10, "complete": 4, "image missing": 3, "text missing": 3}


def test_the_summary_adds_up_the_clients():
    report = PreflightReport(rows=[ROW, ROW | {"client": 1, "complete": 10, "samples": 20}])
    line = report.summary()["clients"]
    assert line.startswith("2, with 30 samples: 14 complete pairs (4 to 10 each), 6 without image")


def test_a_model_with_two_roles_is_weighed_once():
    models = [{"model": "a", "fingerprint": "f", "MB": 2.0}] * 2
    models += [{"model": "b", "fingerprint": "g", "MB": 1.5}]
    assert PreflightReport(models=models).summary()["frozen models"] == "a, b; 3.5 MB"


def test_what_is_left_to_do():
    work = [{"work": "image features", "left": 3}, {"work": "text features", "left": 0}]
    assert PreflightReport(work=work).summary()["still to do"] == "3 image features"
    assert "nothing" in PreflightReport(work=work[1:]).summary()["still to do"]


def test_estimates_are_rounded_up_to_minutes():
    estimates = {"completion s": 61.0, "disk MB": 12.4, "free disk MB": 99.6}
    lines = PreflightReport(estimates=estimates).summary()
    assert lines["completion takes"] == "about 2 min in one process"
    assert lines["disk"] == "about 12 MB needed, 100 MB free"


def test_an_empty_report_says_nothing_and_raises_nothing():
    assert PreflightReport().summary() == {}
    PreflightReport().raise_problems()


def test_all_problems_are_raised_at_once():
    with pytest.raises(DataError, match=r"(?s)2 problem\(s\) before the run:\n- one\n- two"):
        PreflightReport(problems=["one", "two"]).raise_problems()


def test_a_step_gives_its_value_or_a_problem(caplog):
    report = PreflightReport()
    assert attempt(report, "the answer", lambda: 42) == 42

    def refuse():
        raise ConfigError("wrong key")

    assert attempt(report, "the key", refuse) is None
    with caplog.at_level(logging.ERROR):
        assert attempt(report, "the folder", lambda: 1 / 0) is None
    assert report.problems[0] == "wrong key"
    assert "while it looked at the folder: ZeroDivisionError" in report.problems[1]
    assert "defect of the program" in report.problems[1]
    assert caplog.records[0].exc_info

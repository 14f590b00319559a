"""Runs that are unfinished, failed, or lack something that others have."""

import pytest

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting import write_report

pytestmark = pytest.mark.slow


def test_a_method_without_graph_has_no_graph_section(parse, new_run):
    run = new_run(rounds=2, method="fedavg", completion="none")
    page = parse(write_report(run.complete()))
    assert "graph" not in page.sections
    assert "weights" in page.sections
    assert "weighting: examples" in page.text
    assert "All have the weight 0.200" in page.text
    assert "Zero in every round" in page.text
    assert "Matching (MCM)" in page.text


def test_a_failed_run_says_why(parse, new_run):
    run = new_run()
    run.start()
    run.prepare()
    run.round(1)
    run.finish("failed", reason="Round 2 has no valid reply.")
    page = parse(write_report(run.out))
    assert "Round 2 has no valid reply." in page.text
    assert "✗ failed" in page.text
    assert "1 of 30" in page.text
    assert "no evaluation of the global model yet" in page.text


@pytest.mark.parametrize("events", [0, 4, 14, 20])
def test_an_unfinished_run_shows_what_there_is(parse, new_run, finished, events):
    run = new_run()
    lines = (finished / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run.out / "metrics.jsonl").write_text("".join(lines[:events]) + lines[events][:20])
    page = parse(write_report(run.out))
    assert "unfinished" in page.text
    assert page.sections[0] == "results"
    assert page.sections[-1] == "settings"


def test_scores_of_an_unfinished_run_name_their_round(parse, new_run):
    run = new_run()
    run.start()
    for number in range(1, 8):
        run.round(number)
    page = parse(write_report(run.out))
    assert "Measured after round 5" in page.text
    assert f"{100 * run.scores['accuracy']['complete']:.1f}%" in page.text


def test_events_of_another_version_are_refused_by_name(new_run):
    run = new_run()
    run.start()
    run.event("round", number=1)
    with pytest.raises(ReportError, match=r"another version wrote it.*KeyError: 'round'"):
        write_report(run.out)

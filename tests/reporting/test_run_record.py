import pytest

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting.run_record import collect, load_run


def test_only_the_last_run_of_a_file_counts(new_run):
    run = new_run(rounds=3)
    run.complete()
    second = type(run)(run.out, rounds=2, seed=9)
    second.start()
    second.round(1)
    record = load_run(run.out)
    assert len(record.rounds) == 1
    assert record.clients == []
    assert record.config["seed"] == 9


def test_a_result_of_an_earlier_run_is_not_taken_for_that_of_an_unfinished_one(new_run):
    run = new_run(rounds=2)
    run.complete()
    assert load_run(run.out).result["status"] == "completed"
    type(run)(run.out).start()
    record = load_run(run.out)
    assert record.status == "unfinished"
    assert record.result == {}


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(ReportError, match="holds no run"):
        load_run(tmp_path)


def test_a_damaged_result_is_named(new_run):
    run = new_run(rounds=1)
    run.complete()
    (run.out / "result.json").write_text("{")
    with pytest.raises(ReportError, match=r"result\.json"):
        load_run(run.out)


def test_rounds_and_clients_are_ordered_and_the_last_of_a_kind_wins():
    events = [
        {"event": "round", "round": 2},
        {"event": "round", "round": 1},
        {"event": "round", "round": 2, "clients": [0]},
        {"event": "client", "partition-id": 10},
        {"event": "client", "partition-id": 9},
        {"event": "something-else"},
    ]
    record = collect(events, {})
    assert record.rounds == [{"event": "round", "round": 1}, events[2]]
    assert [c["partition-id"] for c in record.clients] == [9, 10]


def test_evaluations_at_the_clients_that_were_rejected_are_ordered():
    events = [
        {"event": "evaluation-rejected", "round": 4, "rejected": []},
        {"event": "evaluation-rejected", "round": 2, "rejected": [{"client": 1}]},
        {"event": "evaluation", "round": 2, "where": "clients"},
    ]
    record = collect(events, {})
    assert record.rejected_evaluations == [events[1], events[0]]
    assert record.client_scores == [events[2]]


def test_a_phase_that_did_not_end_has_no_seconds():
    events = [
        {"event": "phase", "name": "probe", "status": "start"},
        {"event": "phase", "name": "probe", "status": "end", "seconds": 2.5},
        {"event": "phase", "name": "training", "status": "start"},
    ]
    assert collect(events, {}).phases == {"probe": 2.5, "training": None}

"""Replies that were left out, as the report lists them."""

import pytest

from fedmvp_flwr.reporting import write_report
from fedmvp_flwr.reporting.run_record import RunRecord, collect
from fedmvp_flwr.reporting.sections.costs import rejected

LATE = "no reply within the timeout"


def training(number, *clients):
    return {
        "event": "round",
        "round": number,
        "rejected": [{"client": c, "reason": "the array 'head' holds NaN"} for c in clients],
    }


def evaluation(number, *clients):
    items = [{"client": c, "reason": LATE} for c in clients]
    return {"event": "evaluation-rejected", "round": number, "rejected": items}


def test_trainings_and_evaluations_are_listed_by_round():
    events = [training(1), training(2, 5), evaluation(2, 0, 5), training(3, 1), evaluation(1, 4)]
    table = rejected(collect(events, {}))
    assert table.header == ["Round", "Asked for", "Client", "Reason"]
    assert table.rows == [
        ["1", "Evaluation", "4", LATE],
        ["2", "Training", "5", "the array 'head' holds NaN"],
        ["2", "Evaluation", "0", LATE],
        ["2", "Evaluation", "5", LATE],
        ["3", "Training", "1", "the array 'head' holds NaN"],
    ]


def test_attempts_that_failed_come_before_the_round_that_counted():
    failed = [
        {**training(2, 3, 4), "event": "round-failed", "attempt": 1},
        {**training(2, 3), "event": "round-failed", "attempt": 2},
    ]
    table = rejected(collect([training(1), *failed, training(2, 4)], {}))
    assert [row[:3] for row in table.rows] == [
        ["2", "Training, attempt 1", "3"],
        ["2", "Training, attempt 1", "4"],
        ["2", "Training, attempt 2", "3"],
        ["2", "Training", "4"],
    ]


def test_a_table_that_is_cut_says_so():
    table = rejected(collect([training(n, 1, 2, 3) for n in range(1, 101)], {}))
    assert len(table.rows) == 200
    assert table.caption.endswith("(the first 200 of 300)")
    assert "first" not in rejected(collect([training(1, 1)], {})).caption


@pytest.mark.parametrize("event", [training(1, 0, 1, 2), evaluation(1, 0, 1, 2)])
def test_a_node_is_called_by_its_name_where_it_told_one(event):
    clients = [
        {"event": "client", "partition-id": 0, "name": "hospital-a"},
        {"event": "client", "partition-id": 1, "name": ""},
        {"event": "client", "partition-id": 3, "name": "x" * 4000},
    ]
    table = rejected(collect([*clients, event], {}))
    assert [row[2] for row in table.rows] == ["0 (hospital-a)", "1", "2"]
    (row,) = rejected(collect([*clients, evaluation(1, 3)], {})).rows
    assert len(row[2]) < 100


def test_without_any_there_is_no_table():
    assert rejected(RunRecord()) is None
    assert rejected(collect([training(1), evaluation(1)], {})) is None


def test_the_page_names_them(parse, new_run):
    run = new_run(rounds=1)
    run.start()
    run.prepare(names={2: "hospital-c"})
    run.round(1)
    run.event("evaluation-rejected", round=1, rejected=[{"client": 2, "reason": LATE}])
    page = parse(write_report(run.out))
    assert f"1 Evaluation 2 (hospital-c) {LATE}" in page.text
    assert "every reply of" not in page.text

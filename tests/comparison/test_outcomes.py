import pytest

from fedmvp_flwr.comparison.experiment import ExperimentFile, plan
from fedmvp_flwr.comparison.outcomes import Group, read_outcomes, rows


@pytest.fixture
def experiment():
    return plan(ExperimentFile(methods=["mask", "fedmvp"], seeds=[0, 1]), {}, paths={})


def test_completed_runs_are_read(experiment, write_run, tmp_path):
    for cell in experiment.cells[:3]:
        write_run(tmp_path / cell.name, cell.settings, {"complete": 0.5, "unseen-text": 0.25})
    (group,) = read_outcomes(experiment, tmp_path)
    assert {name: len(runs) for name, runs in group.outcomes.items()} == {"mask": 2, "fedmvp": 1}
    run = group.outcomes["fedmvp"][0]
    assert run.seconds == 12.5
    assert run.bytes == 2 * 2 * (10 + 5)  # two rounds of two clients
    assert run.right["complete"].tolist() == [True, False]
    assert group.conditions == ["complete", "unseen-text"]


def test_nothing_completed_is_no_group(experiment, tmp_path):
    assert read_outcomes(experiment, tmp_path) == []


def test_one_row_for_each_score(experiment, write_run, tmp_path):
    cell = experiment.cells[0]
    write_run(tmp_path / cell.name, cell.settings, {"complete": 0.5, "image-only": 0.25})
    table = list(rows(read_outcomes(experiment, tmp_path)))
    assert [(r["method"], r["seed"], r["condition"], r["accuracy"]) for r in table] == [
        ("mask", 0, "complete", 0.5),
        ("mask", 0, "image-only", 0.25),
    ]


def test_differences_pair_the_seeds_that_both_have(make_outcome):
    group = Group(
        "",
        {
            "a": [make_outcome(s, {"complete": 0.1 * s}) for s in (1, 2, 3)],
            "b": [make_outcome(s, {"complete": 0.0}) for s in (2, 3, 4)],
        },
    )
    found = group.difference("a", "b", "complete")
    assert found.per_seed == pytest.approx([0.2, 0.3])
    assert group.difference("a", "b", "text-only") is None


def test_samples_are_paired_where_both_left_their_predictions(make_group):
    found = make_group(a=0.75, b=0.5).difference("a", "b", "complete")
    assert found.mean == pytest.approx(0.25)
    assert found.low < 0.25 < found.high  # samples vary although the seeds do not

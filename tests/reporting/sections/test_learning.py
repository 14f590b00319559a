from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.learning import build


def test_curves_and_the_table_of_evaluations(record):
    found = build(record())
    assert [name for name, _ in found.scores] == ["Accuracy", "Macro-F1"]
    assert len(found.losses) == 5
    assert found.unused == []
    assert [row[0] for row in found.table.rows] == ["0", "5", "6"]
    assert "at the end: Image and text" in found.scores[0][1].label


def test_losses_that_a_method_does_not_have_are_named(record):
    found = build(record(method="fedavg"))
    assert [name for name, _ in found.losses] == ["Total loss", "Supervised (cross-entropy)"]
    assert found.unused == ["Matching (MCM)", "Margin (RAM)", "Auxiliary (single modalities)"]


def test_a_long_table_is_thinned_and_keeps_the_last():
    scores = [{"round": r, "accuracy": {"complete": 0.5}} for r in range(1, 201)]
    rows = build(RunRecord(server_scores=scores)).table.rows
    assert len(rows) <= 60
    assert rows[-1][0] == "200"


def test_nothing_happened_yet():
    assert build(RunRecord()) is None

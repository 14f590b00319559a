from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.scores import build
from fedmvp_flwr.reporting.text import DASH

RESULT = {
    "accuracy": {"complete": 0.8, "image-only": 0.7, "unseen-text": 0.25},
    "accuracy-with-completion": {"image-only": 0.75},
}


def test_the_final_scores_with_and_without_completion():
    found = build(RunRecord(result=RESULT))
    assert found.values is RESULT
    rows = {row[0]: row[1:4] for row in found.table.rows}
    assert rows["Image and text"] == ["80.0%", DASH, DASH]
    assert rows["Image only"] == ["70.0%", "75.0%", "+5.0"]
    assert rows["Text only, classes without any text in training"] == ["25.0%", DASH, DASH]
    assert found.note == ""


def test_without_a_result_the_last_evaluation_counts_and_says_so():
    found = build(RunRecord(server_scores=[{"round": 5, **RESULT}, {"round": 10, **RESULT}]))
    assert "after round 10" in found.note
    assert found.table is not None


def test_the_clients_scores_have_a_table_of_their_own():
    found = build(RunRecord(client_scores=[{"round": 3, **RESULT}]))
    assert found.table is None
    assert "after round 3" in found.client_table.caption


def test_nothing_was_evaluated():
    found = build(RunRecord())
    assert (found.table, found.client_table, found.values) == (None, None, {})

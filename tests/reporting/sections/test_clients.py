import pytest

from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.clients import build

COUNTS = {"made": 3, "reused": 1, "rejected": 2}
CLIENT = {
    "partition-id": 0,
    "samples": 10,
    "complete": 6,
    "missing": {"image": 4, "text": 0},
    "completions": {"image": COUNTS, "text": dict.fromkeys(COUNTS, 0)},
    "labels": [7, 3],
    "real": {"image": [6, 0], "text": [7, 3]},
    "gate-threshold": 0.25,
}


def test_holes_and_what_became_of_them():
    found = build(RunRecord(clients=[CLIENT, CLIENT | {"partition-id": 1}], class_names=["a", "b"]))
    assert "2 clients hold 20 training samples; 12 (60%) are complete." in found.sentences[0]
    assert (
        "8 samples lack the image; 8 of these holes were completed (6 generated in this run, 2"
        in (found.sentences[1])
    )
    assert "accepted 4 and rejected 4" in found.sentences[1]
    assert found.sentences[2] == "0 samples lack the text."
    assert found.table.rows[-1][:7] == ["All", "20", "12", "8", "8", "4", "4"]


def test_pairs_of_class_and_modality_that_nobody_has_are_counted():
    found = build(RunRecord(clients=[CLIENT], class_names=["a", "b"]))
    assert "1 pair of class and modality: nobody has any." in found.classes.label
    every = CLIENT | {"real": {"image": [6, 1], "text": [7, 3]}}
    both = build(RunRecord(clients=[CLIENT, every], class_names=["a", "b"]))
    assert "nobody" not in both.classes.label


def test_a_run_of_before_has_no_map_of_the_classes():
    old = {key: value for key, value in CLIENT.items() if key != "real"}
    assert build(RunRecord(clients=[old], class_names=["a", "b"])).classes is None


def test_without_completions_there_is_no_drawing_of_them():
    none = CLIENT | {"completions": {"image": dict.fromkeys(COUNTS, 0)}}
    assert build(RunRecord(clients=[none], class_names=["a", "b"])).completed is None


@pytest.mark.parametrize("labels", [[], [1, 2, 3, 4]])
def test_labels_of_any_length_do_no_harm(labels):
    assert build(RunRecord(clients=[CLIENT | {"labels": labels}], class_names=["a", "b"]))


def test_many_clients_are_counted_and_some_are_shown():
    clients = [CLIENT | {"partition-id": i} for i in range(70)]
    found = build(RunRecord(clients=clients, class_names=["a", "b"]))
    assert (found.shown, found.total) == (60, 70)
    assert found.table.rows[-1][1] == "700"


def test_nobody_has_reported():
    assert build(RunRecord()) is None

import pytest
import torch


def generated(data):
    return int(data.train.modalities["image"].generated.sum())


def test_what_passes_the_gate_is_trained_on(make_client):
    counts = [generated(make_client(threshold=t)) for t in (-1.0, 0.25, 0.75, 1.1)]
    assert counts == [3, 2, 1, 0]  # of holes 0, 2 and 4, completed with 0, 0.5 and 1
    assert generated(make_client(threshold=1.1, quality_gate=0.0)) == 3, "there is no gate"


@pytest.mark.parametrize(("threshold", "left"), [(-1.0, 5), (0.75, 3), (1.1, 2)])
def test_what_remains_a_hole_is_masked_or_dropped(make_client, threshold, left):
    assert len(make_client(threshold=threshold).train) == 5
    dropped = make_client(threshold=threshold, incomplete="drop").train
    assert len(dropped) == left
    assert all(m.present.all() for m in dropped.modalities.values())


def test_held_out_samples_come_under_every_condition(make_client):
    nobody_lacks = {name: torch.zeros(3, dtype=torch.bool) for name in ("image", "text")}
    test = make_client(held_out=4).test(nobody_lacks)
    sizes = {name: len(batch) for name, batch in test.plain.items()}
    assert sizes == {"complete": 2, "image-only": 2, "text-only": 4, "given": 4}
    assert not test.plain["text-only"].modalities["image"].present.any()
    assert torch.equal(test.plain["given"].labels, make_client().held_out.real.labels)
    assert "complete" not in test.completed
    unseen = make_client(held_out=4).test({n: torch.arange(3) == 1 for n in nobody_lacks})
    labels = unseen.plain["unseen-text"].labels
    assert set(labels.tolist()) <= {1}
    assert len(labels) == int((unseen.plain["text-only"].labels == 1).sum())


def test_a_client_without_a_pair_takes_the_threshold_of_the_others(make_client):
    data = make_client()
    assert data.gated(0.9) is data
    alone = make_client(threshold=-1.0, told={"complete": 0})
    assert [generated(d) for d in (alone, alone.gated(0.9), alone.gated(1.1))] == [3, 1, 0]
    assert alone.gated(0.9).summary is alone.summary

import pytest
import torch

from fedmvp_flwr.model.evaluation import (
    Conditions,
    classification_scores,
    evaluate,
    evaluate_conditions,
    flatten_scores,
    only,
    unflatten_scores,
)


def slow_macro_f1(predicted, labels):
    classes = sorted(set(predicted) | set(labels))
    scores = []
    for c in classes:
        pairs = list(zip(predicted, labels, strict=True))
        hits = sum(p == c and t == c for p, t in pairs)
        wrong = sum(p == c and t != c for p, t in pairs)
        missed = sum(p != c and t == c for p, t in pairs)
        scores.append(2 * hits / (2 * hits + wrong + missed))
    return sum(scores) / len(scores)


def random_case(seed, count=50, num_classes=6):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes - 1, (count,), generator=generator)  # one class is absent
    predicted = torch.randint(num_classes, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.5, labels, predicted), labels


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_a_slow_loop(seed):
    predicted, labels = random_case(seed)
    scores = classification_scores(predicted, labels, 6)
    assert scores["accuracy"] == pytest.approx(float((predicted == labels).double().mean()))
    assert scores["macro-f1"] == pytest.approx(slow_macro_f1(predicted.tolist(), labels.tolist()))


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_those_of_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is an extra")
    predicted, labels = random_case(seed)
    scores = classification_scores(predicted, labels, 6)
    expected = metrics.f1_score(labels.numpy(), predicted.numpy(), average="macro")
    assert scores["macro-f1"] == pytest.approx(expected)


def test_known_scores():
    labels = torch.tensor([0, 0, 0, 1])
    assert classification_scores(labels, labels, 5)["macro-f1"] == 1.0
    always_0 = classification_scores(torch.zeros(4, dtype=torch.long), labels, 5)
    assert always_0["accuracy"] == 0.75
    assert always_0["macro-f1"] == pytest.approx((6 / 7 + 0) / 2)


def test_evaluating_scores_the_predictions(network, make_batch):
    batch = make_batch(20)
    network.train()
    scores = evaluate(network, batch)
    assert not network.training
    predicted = network(batch).logits.argmax(dim=1)
    assert scores == classification_scores(predicted, batch.labels, 3)


def test_evaluating_in_batches_changes_nothing(network, make_batch, monkeypatch):
    from fedmvp_flwr.model import evaluation

    batch = make_batch(20)
    whole = evaluate(network, batch)
    monkeypatch.setattr(evaluation, "_EVALUATION_BATCH", 7)
    assert evaluate(network, batch) == whole


def test_only_one_modality(make_batch):
    batch = make_batch(4)
    alone = only(batch, "text")
    assert not alone.modalities["image"].present.any()
    assert alone.modalities["text"].present.all()
    assert batch.modalities["image"].present.all()


def test_every_condition_is_scored(network, make_batch):
    batch = make_batch(10)
    plain = {"complete": batch, "image-only": only(batch, "image")}
    scores = evaluate_conditions(network, Conditions(plain, {"image-only": batch}))
    assert set(scores) == {
        "accuracy", "macro-f1", "accuracy-with-completion", "macro-f1-with-completion",
    }  # fmt: skip
    assert set(scores["accuracy"]) == {"complete", "image-only"}
    assert scores["accuracy-with-completion"] == {"image-only": scores["accuracy"]["complete"]}
    without = evaluate_conditions(network, Conditions(plain, {}))
    assert set(without) == {"accuracy", "macro-f1"}


def test_scores_survive_the_way_through_flower():
    scores = {"accuracy": {"complete": 0.5, "image-only": 1.0}, "macro-f1": {"complete": 0.25}}
    flat = flatten_scores(scores)
    assert flat["accuracy.image-only"] == 1.0
    assert unflatten_scores({**flat, "num-examples": 4, "list.a": [1.0]}) == scores

from collections import Counter

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.reading.splits import choose_splits, hold_out


def samples(*counts):
    return [
        Sample(f"{label}-{i}", label, None, "t") for label, n in enumerate(counts) for i in range(n)
    ]


def named(*names):
    return [(Sample(f"{i}", 0, None, "t"), name) for i, name in enumerate(names)]


def test_the_held_out_share_is_exact_and_stratified():
    train, test = hold_out(samples(50, 30, 20), 0.3, 0)
    assert Counter(s.label for s in test) == {0: 15, 1: 9, 2: 6}
    assert len(train) == 70
    assert not {s.key for s in train} & {s.key for s in test}


def test_small_classes_keep_one_to_train_on():
    train, test = hold_out(samples(1, 1, 1, 1, 40), 0.25, 0)
    assert {s.label for s in train} == {0, 1, 2, 3, 4}
    assert len(test) == 10


@pytest.mark.parametrize("counts", [[1] * 100 + [30], [2] * 50 + [3] * 9 + [40], [33] * 7, [1, 5]])
@pytest.mark.parametrize("fraction", [0.07, 0.2, 0.5, 0.95])
def test_no_class_pays_for_what_others_could_not_give(counts, fraction):
    train, test = hold_out(samples(*counts), fraction, 0)
    kept, held = (Counter(s.label for s in part) for part in (train, test))
    for label, count in enumerate(counts):
        assert kept[label] >= 1
        assert abs(held[label] - count * fraction) < 1 or kept[label] == 1, (label, count)


def test_a_share_that_is_whole_is_taken_as_it_is():
    assert len(hold_out(samples(*[1] * 100, 100), 0.07, 0)[1]) == 7


def test_the_data_seed_decides_and_the_order_does_not():
    data = samples(20, 20)
    first = {s.key for s in hold_out(data, 0.2, 0)[1]}
    assert {s.key for s in hold_out(data[::-1], 0.2, 0)[1]} == first
    assert {s.key for s in hold_out(data, 0.2, 1)[1]} != first


def test_a_new_sample_moves_no_other_class():
    before = {s.key for s in hold_out(samples(20, 20), 0.2, 0)[1] if s.label == 0}
    after = {s.key for s in hold_out(samples(20, 23), 0.2, 0)[1] if s.label == 0}
    assert before == after


def test_named_splits_and_the_others():
    splits = choose_splits(
        named("dev", "fit", "fit", "more", "odd"),
        RunConfig.of(train_split="fit+more", test_split="dev").data,
        "folder:x",
    )
    assert {name: len(part) for name, part in splits.items()} == {"train": 3, "test": 1, "odd": 1}


def test_no_test_split_holds_out_of_the_training_split():
    data = named(*["train"] * 10, "public", None)
    splits = choose_splits(data, RunConfig.of(test_split="").data, "folder:x")
    assert {name: len(part) for name, part in splits.items()} == {
        "train": 8,
        "test": 2,
        "public": 1,
    }


def test_a_split_that_is_not_there():
    with pytest.raises(DataError, match=r"no split \['test'\]; it has 'dev' \(1\), 'train' \(2\)"):
        choose_splits(named("train", "train", "dev"), RunConfig.of().data, "folder:x")


def test_one_split_for_both_is_refused():
    with pytest.raises(DataError, match="both name"):
        choose_splits(named("train"), RunConfig.of(test_split="train").data, "folder:x")


def test_too_few_samples_to_hold_one_out():
    with pytest.raises(DataError, match="nothing in the test split"):
        choose_splits(named(None, None), RunConfig.of().data, "folder:x")


def test_a_validation_split_has_one_name():
    default = RunConfig.of().data
    data = named("train", "test", "validation", "public")
    assert list(choose_splits(data, default, "x")) == ["train", "test", "public", "val"]
    both = named("train", "test", "validation", "val")
    assert list(choose_splits(both, default, "x")) == ["train", "test", "val", "validation"]
    tested = choose_splits(data[:1] + data[2:], RunConfig.of(test_split="validation").data, "x")
    assert list(tested) == ["train", "test", "public"]

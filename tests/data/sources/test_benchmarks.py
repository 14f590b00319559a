"""What CUB-200-2011 and Oxford Flowers 102 have in common."""

from collections import Counter
from fractions import Fraction

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.reading.splits import hold_out
from fedmvp_flwr.data.sources import cub, flowers
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


@pytest.mark.parametrize(
    ("share", "total", "classes", "expected"),
    [
        (cub._PAPER_TEST_SHARE, 11788, 200, (10610, 1178)),
        (flowers._PAPER_TEST_SHARE, 8189, 102, (7370, 819)),
    ],
)
def test_the_papers_sizes_of_the_whole_archives(share, total, classes, expected):
    assert isinstance(share, Fraction)
    samples = [Sample(str(i), i % classes, None, "t") for i in range(total)]
    train, test = hold_out(samples, float(share), 0)
    assert (len(train), len(test)) == expected
    per_class = Counter(s.label for s in test)
    assert max(per_class.values()) - min(per_class.values()) <= 1
    assert len(per_class) == classes


@pytest.mark.parametrize("keys", [{"label_column": "a"}, {"id_column": "a", "text_column": "none"}])
def test_columns_that_nobody_reads_are_refused(birds, blossoms, settings, keys):
    for dataset in (f"cub:{birds}", f"flowers:{blossoms}"):
        with pytest.raises(
            DataError, match=r"does not take .*: its files have no columns"
        ) as error:
            load_dataset(*settings(dataset, **keys))
        for key, value in keys.items():
            assert f"{key.replace('_', '-')}='{value}'" in str(error.value)
        with pytest.raises(DataError, match="does not take partition='column:site'"):
            load_dataset(*settings(dataset, partition="column:site"))

"""The paper's split of CUB and Oxford Flowers, where only its sizes are known."""

from dataclasses import replace
from fractions import Fraction

from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.entries import LoadedDataset
from fedmvp_flwr.data.reading.splits import TEST, TRAIN, hold_out, require_both


def paper_split(dataset: LoadedDataset, data: DataSettings, test_share: Fraction) -> LoadedDataset:
    """Pool all splits and hold out the paper's share, stratified, by `data-seed`.

    Which samples the paper held out was not published; only the sizes agree.

    Raises:
        DataError: so few samples are left that none would be held out.
    """
    pooled = [sample for samples in dataset.splits.values() for sample in samples]
    pooled.sort(key=lambda sample: sample.key)
    train, test = hold_out(pooled, float(test_share), data.data_seed)
    remedy = (
        f"benchmark-split='paper' holds out {float(test_share):.1%} of the {len(pooled)} usable "
        "samples. Complete the data set, or set benchmark-split='official'."
    )
    splits = require_both({TRAIN: train, TEST: test}, dataset.findings.source, remedy)
    return replace(dataset, splits=splits)

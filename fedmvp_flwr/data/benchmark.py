"""The paper's split of CUB and Oxford Flowers, where only its sizes are known."""

from dataclasses import replace
from fractions import Fraction

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.entries import LoadedDataset
from fedmvp_flwr.data.splits import TEST, TRAIN, hold_out


def paper_split(dataset: LoadedDataset, config: RunConfig, test_share: Fraction) -> LoadedDataset:
    """Pool all splits and hold out the paper's share, stratified, by `split-seed`.

    Which samples the paper held out was not published; only the sizes agree.
    """
    pooled = [sample for samples in dataset.splits.values() for sample in samples]
    pooled.sort(key=lambda sample: sample.key)
    train, test = hold_out(pooled, float(test_share), config.split_seed)
    return replace(dataset, splits={TRAIN: train, TEST: test})

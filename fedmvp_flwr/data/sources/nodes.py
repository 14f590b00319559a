"""The server's view where every node has its own folder: class names, and no sample."""

from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.classes import read_classes
from fedmvp_flwr.data.reading.entries import LoadedDataset
from fedmvp_flwr.data.reading.findings import Findings


def load_nodes(_: None, data: DataSettings, cache: Path) -> LoadedDataset:
    """Read the class names.

    Raises:
        DataError: no file names them.
    """
    classes = read_classes(data)
    if classes is None:
        raise DataError(
            "dataset='nodes' means that the nodes have the data: the server needs to be told the "
            "class names. Set class-names-file (one name a line, in the order of the labels; a "
            "description after a tab makes a better probe)."
        )
    splits: dict[str, tuple[Sample, ...]] = {"train": (), "test": ()}
    return LoadedDataset(classes.names, classes.descriptions, splits, Findings("nodes", cache))

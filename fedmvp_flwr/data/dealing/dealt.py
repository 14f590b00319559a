"""Splits that were dealt before, remembered by what they were dealt from.

The partitioners of flwr-datasets bring pandas, datasets and plotting libraries along: 3 s and 90 MB
in every process of a simulation, for lists of numbers that are the same in all of them.
"""

import json
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedmvp_flwr.base.choices import choose
from fedmvp_flwr.base.files import record_hash, write_atomic
from fedmvp_flwr.data.dealing.partition import PARTITIONS, Assignment

Known = tuple[str, int, str | None]  # key, label and owner of a sample: all that dealing needs

_FOLDER = "dealt"
_NO_VALUE = 0.1  # what the records say of a partition that takes none


def remembered_split(
    folder: Path,
    train: Sequence[Known],
    test: Sequence[Known],
    partition: str,
    seed: int,
    num_partitions: int,
    deal: Callable[[], Assignment],
) -> Assignment:
    """Return a split from the cache folder, or deal it and, if that is slow, remember it there.

    Args:
        folder: the cache folder; a file in it that is damaged, or cannot be written, does no harm.
        train: the training samples.
        test: the held-out samples.
        partition: the setting.
        seed: the run's seed.
        num_partitions: number of clients.
        deal: deals the samples.

    Raises:
        ConfigError: there is no such partition.
        DataError: they cannot be dealt so.
    """
    chosen, value = choose("partition", partition, PARTITIONS)
    if not chosen.slow:
        return deal()
    inputs = {
        "train": list(train),
        "test": list(test),
        "settings": [partition.partition(":")[0], _NO_VALUE if value is None else value, seed],
        "clients": num_partitions,
        "library": _library(),
    }
    path = folder / _FOLDER / f"{record_hash(inputs)}.json"
    known = _read(path, len(train), len(test), num_partitions)
    if known is None:
        known = deal()
        try:
            write_atomic(path, json.dumps(known._asdict()).encode())
        except OSError:  # a full disk: it is dealt again next time
            return known
    return known


def _library() -> str:
    try:
        return version("flwr-datasets")
    except PackageNotFoundError:
        return ""


def _read(path: Path, num_train: int, num_test: int, num_partitions: int) -> Assignment | None:
    """The split of a file if it deals every sample once, else None."""
    try:
        split = Assignment(**json.loads(path.read_bytes()))
        for parts, count in ((split.train, num_train), (split.test, num_test)):
            dealt = sorted(index for part in parts for index in part)
            if dealt != list(range(count)) or len(parts) != num_partitions:
                return None
    except (OSError, ValueError, TypeError):
        return None
    return split

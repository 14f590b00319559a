"""Splits that were dealt before, remembered by what they were dealt from.

The partitioners of flwr-datasets bring pandas, datasets and plotting libraries along: 3 s and 90 MB
in every process of a simulation, for lists of numbers that are the same in all of them.
"""

import json
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fedmvp_flwr.base.choices import choose
from fedmvp_flwr.base.files import record_hash, write_atomic
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.partition import PARTITIONS, Assignment, assign

Known = tuple[tuple[str, int, str | None], ...]  # key, label and owner: all that dealing needs

_FOLDER = "dealt"
_NO_VALUE = 0.1  # what the records say of a partition that takes none


@lru_cache(maxsize=2)
def remembered_split(
    train: Known, test: Known, partition: str, seed: int, num_partitions: int, cache: Path
) -> Assignment:
    """Deal samples; what was slow to deal is remembered in the cache folder, and found there.

    Args:
        train: the training samples.
        test: the held-out samples.
        partition: the setting.
        seed: the run's seed.
        num_partitions: number of clients.
        cache: a file in it that is damaged, or cannot be written, does no harm.

    Raises:
        ConfigError: there is no such partition.
        DataError: they cannot be dealt so.
    """
    chosen, value = choose("partition", partition, PARTITIONS)
    inputs = {
        "train": list(train),
        "test": list(test),
        "settings": [partition.partition(":")[0], _NO_VALUE if value is None else value, seed],
        "clients": num_partitions,
        "library": _library(),
    }
    path = cache / _FOLDER / f"{record_hash(inputs)}.json" if chosen.slow else None
    known = _read(path, len(train), len(test), num_partitions) if path else None
    if known is None:
        known = assign(_bare(train), _bare(test), partition, num_partitions, seed)
        try:
            if path:
                write_atomic(path, json.dumps(known._asdict()).encode())
        except OSError:  # a full disk: it is dealt again next time
            return known
    return known


def _bare(samples: Known) -> list[Sample]:
    return [Sample(key, label, None, None, owner) for key, label, owner in samples]


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

"""Samples dealt by who they belong to: by a natural owner, or as a file says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.key_files import keyed_rows, parse_record, read_text

_SHOWN = 5


class Dealt(NamedTuple):
    """What a partition settles.

    Attributes:
        train: for each client the sorted indices of its training samples.
        test: by index the client of those held-out samples that are settled along.
    """

    train: list[list[int]]
    test: Mapping[int, int]


_Index = Annotated[int, Field(strict=True, ge=0)]


@dataclass(frozen=True)
class _Record:
    """A saved split: for each client indices."""

    train: list[list[_Index]]
    test: list[list[_Index]]


def by_column(
    train: Sequence[Sample], test: Sequence[Sample], column: str, clients: int, _: int
) -> Dealt:
    """Each natural owner's samples to one client, its held-out samples, too.

    Raises:
        DataError: samples without an owner, or fewer owners than clients.
    """
    parts = partition_by_owner([s.owner for s in train], column, clients)
    home = {train[i].owner: client for client, part in enumerate(parts) for i in part}
    return Dealt(parts, {i: home[s.owner] for i, s in enumerate(test) if s.owner in home})


def by_file(
    train: Sequence[Sample], test: Sequence[Sample], file: str, clients: int, _: int
) -> Dealt:
    """As a `.csv` says by key, or a `.json` that a run saved.

    Raises:
        DataError: the file cannot be used, or leaves a client or a training sample out.
    """
    path = expanded(file)
    content = read_text(path, f"partition='file:{path}'")
    if path.suffix.lower() == ".json":
        own, held = _from_record(path, content, len(train), len(test))
    else:
        named = _from_csv(path, content)
        own = {i: named[s.key] for i, s in enumerate(train) if s.key in named}
        held = {i: named[s.key] for i, s in enumerate(test) if s.key in named}
    missing = [train[i].key for i in range(len(train)) if i not in own]
    if missing:
        raise DataError(
            f"'{path}' deals {len(missing)} of {len(train)} training samples to nobody, for "
            f"example {missing[:_SHOWN]}."
        )
    beyond = sorted({c for c in (*own.values(), *held.values()) if not 0 <= c < clients})
    if beyond:
        raise DataError(f"'{path}' names client {beyond[0]}, there are {clients} (from 0).")
    parts: list[list[int]] = [[] for _ in range(clients)]
    for index, client in sorted(own.items()):
        parts[client].append(index)
    empty = [client for client, part in enumerate(parts) if not part]
    if empty:
        raise DataError(f"'{path}' gives the clients {empty} no training sample.")
    return Dealt(parts, held)


def partition_by_owner(
    owners: Sequence[str | None], column: str, num_partitions: int
) -> list[list[int]]:
    """Deal the samples of each natural owner to one client.

    With more owners than clients, the owners with most samples first, each to the client that has
    fewest by then (flwr-datasets' natural partitioners want as many clients as owners, or groups
    of one size).

    Raises:
        DataError: samples without an owner, or fewer owners than clients.
    """
    homeless = [index for index, owner in enumerate(owners) if owner is None]
    if homeless:
        raise DataError(
            f"partition='column:{column}': {len(homeless)} of {len(owners)} training samples have "
            f"no value in that column (the data set 'flora' has no columns at all)."
        )
    by_owner: dict[str | None, list[int]] = {}
    for index, owner in enumerate(owners):
        by_owner.setdefault(owner, []).append(index)
    groups = list(by_owner.values())
    if len(groups) < num_partitions:
        raise DataError(
            f"partition='column:{column}' names {len(groups)} owners, too few for "
            f"{num_partitions} clients. Use at most {len(groups)} clients."
        )
    parts: list[list[int]] = [[] for _ in range(num_partitions)]
    for group in sorted(groups, key=lambda group: (-len(group), group)):
        min(parts, key=len).extend(group)
    return [sorted(part) for part in parts]


def _from_record(
    path: Path, content: str, num_train: int, num_test: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Read a split as a run saved it: lists of indices for each client."""
    record = parse_record(path, content, _Record, "saved split")
    own, held = (
        {index: client for client, part in enumerate(parts) for index in part}
        for parts in (record.train, record.test)
    )
    if sum(map(len, (*record.train, *record.test))) != len(own) + len(held):
        raise DataError(f"'{path}' deals a sample twice.")
    if any(i >= num_train for i in own) or any(i >= num_test for i in held):
        raise DataError(
            f"'{path}' was saved for other data: here are {num_train} training and {num_test} "
            "test samples."
        )
    return own, held


def _from_csv(path: Path, content: str) -> dict[str, int]:
    """Read columns `key` and `client`."""
    clients: dict[str, int] = {}
    for key, (where, cells) in keyed_rows(path, content, ["client"]).items():
        try:
            clients[key] = int(cells["client"])
        except ValueError as error:
            raise DataError(f"{where}: '{cells['client']}' is no client number.") from error
    return clients

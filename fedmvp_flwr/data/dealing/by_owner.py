"""Samples dealt by who they belong to: by a natural owner, or as a file says."""

from collections import defaultdict
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

    With more owners than clients, the owners with most samples first, each to the client that has
    fewest by then (flwr-datasets' natural partitioners want as many clients as owners, or groups
    of one size).

    Raises:
        DataError: samples without an owner, or fewer owners than clients.
    """
    owned: dict[str | None, list[int]] = defaultdict(list)
    for index, sample in enumerate(train):
        owned[sample.owner].append(index)
    if homeless := owned.pop(None, None):
        raise DataError(
            f"partition='column:{column}': {len(homeless)} of {len(train)} training samples have "
            f"no value in that column (the data set 'flora' has no columns at all)."
        )
    if len(owned) < clients:
        raise DataError(
            f"partition='column:{column}' names {len(owned)} owners, too few for {clients} "
            f"clients. Use at most {len(owned)} clients."
        )
    parts: list[list[int]] = [[] for _ in range(clients)]
    home: dict[str | None, int] = {}
    for owner, own in sorted(owned.items(), key=lambda item: (-len(item[1]), item[1])):
        home[owner] = min(range(clients), key=lambda client: len(parts[client]))
        parts[home[owner]] += own
    held_out = {i: home[sample.owner] for i, sample in enumerate(test) if sample.owner in home}
    return Dealt([sorted(part) for part in parts], held_out)


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
        record = parse_record(path, content, _Record, "saved split")
        own, held = _by_index(path, record.train, train), _by_index(path, record.test, test)
    else:
        named = _by_key(path, content)
        own, held = (
            {i: named[sample.key] for i, sample in enumerate(samples) if sample.key in named}
            for samples in (train, test)
        )
    missing = [sample.key for i, sample in enumerate(train) if i not in own]
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


def _by_index(
    path: Path, parts: Sequence[Sequence[int]], samples: Sequence[Sample]
) -> dict[int, int]:
    """The client of each sample, as a run saved it."""
    clients = {index: client for client, part in enumerate(parts) for index in part}
    if sum(map(len, parts)) != len(clients):
        raise DataError(f"'{path}' deals a sample twice.")
    if any(index >= len(samples) for index in clients):
        raise DataError(
            f"'{path}' was saved for other data: it deals sample {max(clients)}, here are "
            f"{len(samples)} (from 0)."
        )
    return clients


def _by_key(path: Path, content: str) -> dict[str, int]:
    """The client of each key."""
    clients: dict[str, int] = {}
    for key, (where, cells) in keyed_rows(path, content, ["client"]).items():
        try:
            clients[key] = int(cells["client"])
        except ValueError as error:
            raise DataError(f"{where}: '{cells['client']}' is no client number.") from error
    return clients

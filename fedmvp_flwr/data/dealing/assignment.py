"""Who owns what: training and held-out samples of every client, by label, owner or file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.dealing.partition import matching_indices, partition_indices, require_clients
from fedmvp_flwr.data.reading.key_tables import keyed_rows, parse_json, read_text

_SHOWN = 5


class Assignment(NamedTuple):
    """For each client the sorted indices of its training and of its held-out samples."""

    train: list[list[int]]
    test: list[list[int]]


def assign(
    train: Sequence[Sample], test: Sequence[Sample], config: RunConfig, num_partitions: int
) -> Assignment:
    """Deal all samples to the clients, by the setting `partition`.

    Held-out samples go where the training samples of their owner are (`column:NAME`), to whom the
    file says (`file:PATH`), and otherwise to clients in proportion to their training labels.

    Args:
        train: training samples.
        test: held-out samples.
        config: `partition` and its keys, `seed`.
        num_partitions: number of clients, at least 2.

    Raises:
        DataError: the samples cannot be dealt so.
    """
    labels, test_labels = [s.label for s in train], [s.label for s in test]
    kind, _, name = config.data.partition.partition(":")
    if kind == "file":
        require_clients(num_partitions, len(train))
        parts, fixed = _from_file(expanded(name), train, test, num_partitions)
    elif kind == "column":
        require_clients(num_partitions, len(train))
        parts = partition_by_owner([s.owner for s in train], name, num_partitions)
        home = {train[i].owner: client for client, part in enumerate(parts) for i in part}
        fixed = {i: home[s.owner] for i, s in enumerate(test) if s.owner in home}
    else:
        parts, fixed = partition_indices(labels, config, num_partitions), {}
    open_ones = [i for i in range(len(test)) if i not in fixed]
    dealt: list[list[int]] = [[] for _ in parts]
    if open_ones:
        chosen = [test_labels[i] for i in open_ones]
        matched = matching_indices(chosen, labels, parts, config.run.seed)
        dealt = [[open_ones[i] for i in part] for part in matched]
    for index, client in fixed.items():
        dealt[client].append(index)
    return Assignment(parts, [sorted(part) for part in dealt])


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


def _from_file(
    path: Path, train: Sequence[Sample], test: Sequence[Sample], num_partitions: int
) -> tuple[list[list[int]], dict[int, int]]:
    """Training parts, and the clients of those held-out samples that the file names."""
    content = read_text(path, f"partition='file:{path}'")
    if path.suffix.lower() == ".json":
        own, held = _from_record(path, content, len(train), len(test))
    else:
        clients = _from_csv(path, content)
        own = {i: clients[s.key] for i, s in enumerate(train) if s.key in clients}
        held = {i: clients[s.key] for i, s in enumerate(test) if s.key in clients}
    missing = [train[i].key for i in range(len(train)) if i not in own]
    if missing:
        raise DataError(
            f"'{path}' deals {len(missing)} of {len(train)} training samples to nobody, for "
            f"example {missing[:_SHOWN]}."
        )
    beyond = sorted({c for c in (*own.values(), *held.values()) if not 0 <= c < num_partitions})
    if beyond:
        raise DataError(f"'{path}' names client {beyond[0]}, there are {num_partitions} (from 0).")
    parts: list[list[int]] = [[] for _ in range(num_partitions)]
    for index, client in sorted(own.items()):
        parts[client].append(index)
    empty = [client for client, part in enumerate(parts) if not part]
    if empty:
        raise DataError(f"'{path}' gives the clients {empty} no training sample.")
    return parts, held


def _from_record(
    path: Path, content: str, num_train: int, num_test: int
) -> tuple[dict[int, int], dict[int, int]]:
    """Read a split as a run saved it: lists of indices for each client."""
    record = parse_json(path, content, "saved split")
    try:
        parts = {name: [list(part) for part in record[name]] for name in ("train", "test")}
        own, held = (
            {_index(i): client for client, part in enumerate(parts[name]) for i in part}
            for name in ("train", "test")
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"'{path}' is no saved split ({error!r}): expected train, test.") from error
    if sum(len(part) for both in parts.values() for part in both) != len(own) + len(held):
        raise DataError(f"'{path}' deals a sample twice.")
    if any(i >= num_train for i in own) or any(i >= num_test for i in held):
        raise DataError(
            f"'{path}' was saved for other data: here are {num_train} training and {num_test} "
            "test samples."
        )
    return own, held


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of a sample, expected 0, 1, ...")
    return value


def _from_csv(path: Path, content: str) -> dict[str, int]:
    """Read columns `key` and `client`."""
    clients: dict[str, int] = {}
    for where, key, cells in keyed_rows(path, content, ["client"]):
        try:
            clients[key] = int(cells["client"])
        except ValueError as error:
            raise DataError(f"{where}: '{cells['client']}' is no client number.") from error
    return clients

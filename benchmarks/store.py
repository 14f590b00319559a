"""Which engine should the feature store sit on? LMDB, SQLite or loose files.

    python benchmarks/store.py speed        # write and read 16,000 values of 10 to 20 KB
    python benchmarks/store.py writers      # three processes write at once, two of them the same
    python benchmarks/store.py faults       # 100 damaged files per kind: crash, error or answer?

The last line of each block is `FeatureStore` itself. LMDB is left out where it is not installed
(pip install lmdb). Values are checked on reading, whatever the engine.
"""

# ruff: noqa: D102 - the protocol documents the methods
import argparse
import collections
import hashlib
import multiprocessing
import os
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from fedmvp_flwr.completion.store import FeatureStore

SPEED_VALUES = 16_000
SPEED_REPEATS = 3
WRITER_VALUES = 4_000
FAULT_VALUES = 400
FAULT_TRIALS = 100
CHUNK = 32
CHECK = 16
MAP_BYTES = 1 << 36


class Engine(Protocol):
    """What every candidate offers."""

    file: Path

    def put_many(self, items: Mapping[str, bytes]) -> None:
        """Write one chunk durably enough to survive a killed process."""

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the intact values."""

    def close(self) -> None:
        """Close the files."""


def _seal(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=CHECK).digest() + value


def _open(key: bytes, sealed: bytes) -> bytes | None:
    value = bytes(sealed[CHECK:])
    return value if _seal(key, value)[:CHECK] == bytes(sealed[:CHECK]) else None


class Lmdb:
    """One memory-mapped environment."""

    def __init__(self, root: Path) -> None:
        import lmdb

        root.mkdir(parents=True, exist_ok=True)
        self.file = root / "data.mdb"
        self._environment = lmdb.open(str(root), map_size=MAP_BYTES, max_readers=512)

    def put_many(self, items: Mapping[str, bytes]) -> None:
        with self._environment.begin(write=True) as transaction:
            for name, value in items.items():
                key = bytes.fromhex(name)
                transaction.put(key, _seal(key, value))

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = {}
        with self._environment.begin(buffers=True) as transaction:
            for name in keys:
                key = bytes.fromhex(name)
                sealed = transaction.get(key)
                value = None if sealed is None else _open(key, sealed)
                if value is not None:
                    found[name] = value
        return found

    def close(self) -> None:
        self._environment.close()


class Sqlite:
    """One table, with or without a memory map."""

    def __init__(self, root: Path, journal: str = "WAL", mapped: int = 0) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.file = root / "store.sqlite"
        self._connection = sqlite3.connect(self.file, timeout=60, isolation_level=None)
        for pragma in ("page_size=8192", f"journal_mode={journal}", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute(f"PRAGMA mmap_size={mapped}")
        table = "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, value BLOB)"
        self._connection.execute(table)

    def put_many(self, items: Mapping[str, bytes]) -> None:
        keys = [bytes.fromhex(name) for name in items]
        rows = [(k, _seal(k, v)) for k, v in zip(keys, items.values(), strict=True)]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR IGNORE INTO entry VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found, names = {}, [bytes.fromhex(name) for name in keys]
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            query = f"SELECT key, value FROM entry WHERE key IN ({','.join('?' * len(part))})"
            for key, sealed in self._connection.execute(query, part):
                value = _open(key, sealed)
                if value is not None:
                    found[key.hex()] = value
        return found

    def close(self) -> None:
        self._connection.close()


class LooseFiles:
    """One file per value, renamed into place."""

    def __init__(self, root: Path) -> None:
        self._root = self.file = root
        for number in range(256):
            (root / f"{number:02x}").mkdir(parents=True, exist_ok=True)

    def put_many(self, items: Mapping[str, bytes]) -> None:
        for name, value in items.items():
            path = self._root / name[:2] / name[2:]
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_bytes(_seal(bytes.fromhex(name), value))
            temporary.replace(path)

    def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for name in keys:
            path = self._root / name[:2] / name[2:]
            value = _open(bytes.fromhex(name), path.read_bytes()) if path.exists() else None
            if value is not None:
                found[name] = value
        return found

    def close(self) -> None:
        pass


class Ours(FeatureStore):
    """The feature store with the attribute that the benchmark asks for."""

    @property
    def file(self) -> Path:
        return self.path


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "lmdb": Lmdb,
    "sqlite wal": Sqlite,
    "sqlite wal, mapped": lambda root: Sqlite(root, mapped=MAP_BYTES),
    "sqlite rollback journal": lambda root: Sqlite(root, journal="DELETE"),
    "loose files": LooseFiles,
    "FeatureStore": Ours,
}


def values(count: int, seed: int = 0) -> dict[str, bytes]:
    rng = random.Random(seed)
    names = (hashlib.sha256(f"{seed}/{number}".encode()).hexdigest() for number in range(count))
    return {name: rng.randbytes(rng.randrange(10_000, 20_000)) for name in names}


def fill(engine: Engine, items: Mapping[str, bytes]) -> None:
    pairs = list(items.items())
    for start in range(0, len(pairs), CHUNK):
        engine.put_many(dict(pairs[start : start + CHUNK]))


def speed(name: str, root: Path) -> None:
    items = values(SPEED_VALUES)
    shuffled = random.Random(1).sample(sorted(items), len(items))
    times: dict[str, list[float]] = {"write": [], "read": [], "open": []}
    for repeat in range(SPEED_REPEATS):
        folder = root / str(repeat)
        engine = ENGINES[name](folder)
        start = time.perf_counter()
        fill(engine, items)
        times["write"].append(time.perf_counter() - start)
        engine.close()
        start = time.perf_counter()
        engine = ENGINES[name](folder)
        engine.get_many(shuffled[:1])
        times["open"].append(time.perf_counter() - start)
        start = time.perf_counter()
        found = engine.get_many(shuffled)
        times["read"].append(time.perf_counter() - start)
        assert found == items
        engine.close()
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
    middle = {what: statistics.median(seconds) for what, seconds in times.items()}
    print(
        f"{name:25s} write {middle['write']:5.2f} s   read all {middle['read']:5.2f} s   "
        f"open and read one {1000 * middle['open']:5.1f} ms   {size / 1e6:.0f} MB",
        flush=True,
    )


def _write(name: str, root: Path, seed: int) -> None:
    engine = ENGINES[name](root)
    fill(engine, values(WRITER_VALUES, seed))
    engine.close()


def writers(name: str, root: Path) -> None:
    start = time.perf_counter()
    workers = [multiprocessing.Process(target=_write, args=(name, root, s)) for s in (0, 0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    engine = ENGINES[name](root)
    items = values(WRITER_VALUES, 0) | values(WRITER_VALUES, 1)
    right = sum(items[key] == value for key, value in engine.get_many(items).items())
    engine.close()
    codes = [worker.exitcode for worker in workers]
    print(f"{name:25s} exit codes {codes}, {right} of {len(items)} readable, {seconds:.1f} s")


def _truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _overwrite(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 10])):
        start = rng.randrange(len(changed) // 4096) * 4096
        changed[start : start + 4096] = rng.randbytes(4096)
    return bytes(changed)


def _flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(20):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _use_damaged(name: str, root: Path) -> None:
    items, more = values(FAULT_VALUES), values(20, seed=2)
    try:
        engine = ENGINES[name](root)
        found = engine.get_many(items)
        engine.put_many(more)
        again = engine.get_many(more)
        engine.close()
    except Exception:
        os._exit(3)
    if found.items() <= items.items() and again == more:
        os._exit(10 + 10 * len(found) // FAULT_VALUES)
    os._exit(4)


def faults(name: str, root: Path) -> None:
    if name == "loose files":
        return  # no common file to damage
    whole = ENGINES[name](root / "whole")
    fill(whole, values(FAULT_VALUES))
    whole.close()
    content = whole.file.read_bytes()
    for damage in (_truncate, _overwrite, _flip):
        rng, outcome, share = random.Random(7), collections.Counter[str](), []
        for trial in range(FAULT_TRIALS):
            folder = root / f"{damage.__name__}-{trial}"
            folder.mkdir()
            (folder / whole.file.name).write_bytes(damage(content, rng))
            worker = multiprocessing.Process(target=_use_damaged, args=(name, folder))
            worker.start()
            worker.join(60)
            code = worker.exitcode
            if code is None:
                worker.kill()
                outcome["hangs"] += 1
            elif code < 0:
                outcome[f"killed by signal {-code}"] += 1
            elif code >= 10:
                outcome["works on"] += 1
                share.append((code - 10) / 10)
            else:
                outcome["exception" if code == 3 else "wrong or lost values"] += 1
            shutil.rmtree(folder)
        kept = f", keeps {100 * statistics.mean(share):.0f}% of the values" if share else ""
        print(f"{name:25s} {damage.__name__[1:]:9s} {dict(outcome)}{kept}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "writers", "faults"])
    parser.add_argument("engines", nargs="*", default=list(ENGINES), metavar="engine")
    chosen = parser.parse_args()
    for name in chosen.engines:
        root = Path(tempfile.mkdtemp(prefix="store-benchmark-"))
        try:
            {"speed": speed, "writers": writers, "faults": faults}[chosen.what](name, root)
        except ImportError as error:
            print(f"{name:25s} left out: {error}", file=sys.stderr)
        finally:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()

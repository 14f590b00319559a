"""A mask that was saved before: by a run of ours, or by hand as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import MODALITIES, Sample
from fedmvp_flwr.data.dealing.key_files import keyed_rows, parse_record, read_text
from fedmvp_flwr.data.dealing.missing import MissingMask

_SHOWN = 5
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class _Record:
    """A saved mask: by modality a flag for each key."""

    keys: list[str]
    present: dict[str, list[bool]]


def read_mask_file(path: Path, samples: Sequence[Sample]) -> MissingMask:
    """Read the mask of some samples from a file that may name more of them.

    Args:
        path: `.json`, a record `{"keys": [...], "present": {"image": [...], "text": [...]}}` or a
            list of such, or a `.csv` with the columns key, image, text and 0 or 1 in them (also
            false or true, and no or yes).
        samples: whose mask it is; what they really lack stays a hole.

    Raises:
        DataError: the file cannot be used, does not name a sample, or leaves it nothing.
    """
    flags = _flags(path, *_version(path))
    unknown = [sample.key for sample in samples if sample.key not in flags]
    if unknown:
        raise DataError(
            f"'{path}' does not name {len(unknown)} of {len(samples)} samples, for example "
            f"{unknown[:_SHOWN]}."
        )
    present = {
        name: tuple(s.has(name) and flags[s.key][position] for s in samples)
        for position, name in enumerate(MODALITIES)
    }
    empty = [s.key for i, s in enumerate(samples) if not any(present[n][i] for n in MODALITIES)]
    if empty:
        raise DataError(
            f"'{path}' leaves {len(empty)} samples neither image nor text, for example "
            f"{empty[:_SHOWN]}."
        )
    return MissingMask(tuple(sample.key for sample in samples), present)


def _version(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):  # reading it will tell
        return 0, 0
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=2)  # every client asks anew: of one file for training, perhaps one for testing
def _flags(path: Path, size: int, changed: int) -> Mapping[str, tuple[bool, ...]]:
    """What a file says; size and time of change are those of the content that is remembered."""
    content = read_text(path, f"missing-pattern='file:{path}'")
    is_json = path.suffix.lower() == ".json"
    return _from_json(path, content) if is_json else _from_csv(path, content)


def _from_json(path: Path, content: str) -> dict[str, tuple[bool, ...]]:
    if not content.lstrip().startswith("["):
        content = f"[{content}]"
    flags: dict[str, tuple[bool, ...]] = {}
    for record in parse_record(path, content, list[_Record], "saved mask"):
        columns = [record.present.get(name, []) for name in MODALITIES]
        if any(len(column) != len(record.keys) for column in columns):
            raise DataError(f"'{path}' is no saved mask: not one flag for each key.")
        for key, *values in zip(record.keys, *columns, strict=True):
            own = tuple(values)
            if flags.setdefault(key, own) != own:
                raise DataError(f"'{path}' names '{key}' twice, with different holes.")
    return flags


def _from_csv(path: Path, content: str) -> dict[str, tuple[bool, ...]]:
    flags: dict[str, tuple[bool, ...]] = {}
    for key, (where, cells) in keyed_rows(path, content, MODALITIES).items():
        values = [cells[name].lower() for name in MODALITIES]
        wrong = [value for value in values if value not in (*_YES, *_NO)]
        if wrong:
            raise DataError(f"{where}: '{wrong[0]}' is neither 0 nor 1.")
        flags[key] = tuple(value in _YES for value in values)
    return flags

"""Where a run and a node keep their things: feature store, results, log."""

from pathlib import Path

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.config.run import RunSettings

LOG_FILE = "events.jsonl"  # of a node, in its cache folder
_HOME = Path("~/.fedmvp")


def cache_folder(run: RunSettings) -> Path:
    """Absolute folder of the feature store.

    Raises:
        ConfigError: it lies in the home folder of nobody.
    """
    return expanded(run.cache_dir or _HOME / "cache", ConfigError, "cache-dir").absolute()


def output_folder(run: RunSettings, run_id: int) -> Path:
    """Absolute folder of a run's results: the one it goes on with, where none is given.

    Raises:
        ConfigError: the folder cannot be written, or lies in the home folder of nobody.
    """
    chosen = run.out_dir or run.resume or _HOME / "runs" / str(run_id)
    key = "resume" if run.resume and not run.out_dir else "out-dir"
    return require_writable(expanded(chosen, ConfigError, key).absolute(), "out-dir")


def require_writable(folder: Path, key: str) -> Path:
    """Make a folder and try to write into it.

    Raises:
        ConfigError: it cannot be written; names the run-config key that chose it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"{key}='{folder}' cannot be written ({error.strerror}). Choose another folder."
        ) from error
    return folder

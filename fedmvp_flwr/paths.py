"""Paths as users write them."""

from pathlib import Path

from fedmvp_flwr.errors import DataError, FedMVPError


def expanded(path: str | Path, error: type[FedMVPError] = DataError) -> Path:
    """The path with the home folder instead of `~`.

    Args:
        path: what a user wrote.
        error: what to raise.

    Raises:
        FedMVPError: it begins with `~NAME`, and no user has that name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as cause:
        raise error(
            f"'{path}': there is no home folder '{Path(path).parts[0]}'. Write '~/...' for your "
            "own, or an absolute path."
        ) from cause

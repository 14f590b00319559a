"""Paths as users write them."""

from pathlib import Path

from fedmvp_flwr.errors import DataError, FedMVPError


def expanded(path: str | Path, error: type[FedMVPError] = DataError, key: str = "") -> Path:
    """The path with the home folder instead of `~`.

    Args:
        path: what a user wrote.
        error: what to raise.
        key: the setting or option that it was written for, which the error names; "" for none.

    Raises:
        FedMVPError: it begins with `~NAME`, and no user has that name; or with `~`, and nobody
            says where the user's own home folder is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as cause:
        home = Path(path).parts[0]
        remedy = "Set HOME" if home == "~" else "Write '~/...' for your own"
        raise error(
            f"{key}{'=' if key else ''}'{path}': there is no home folder '{home}'. {remedy}, or "
            "give an absolute path."
        ) from cause

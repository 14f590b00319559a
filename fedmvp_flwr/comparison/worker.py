"""One run of a comparison, in a process of its own: `python -m fedmvp_flwr.comparison.worker`."""

import importlib
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Any


def components(app: Path) -> tuple[Any, Any]:
    """Load ServerApp and ClientApp of a Flower app's folder, as its pyproject.toml names them."""
    project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
    names = project["tool"]["flwr"]["app"]["components"]
    sys.path.insert(0, str(app))
    loaded = []
    for kind in ("serverapp", "clientapp"):
        module, _, name = names[kind].partition(":")
        loaded.append(getattr(importlib.import_module(module), name))
    return loaded[0], loaded[1]


def main(arguments: list[str]) -> int:
    """Run a federation in this process.

    Args:
        arguments: folder of the app, run-config as JSON, number of clients.
    """
    os.environ |= {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    import torch

    from fedmvp_flwr.simulation.in_process import run_in_process

    torch.set_num_threads(1)  # several runs side by side, one core each
    server_app, client_app = components(Path(arguments[0]))
    run_in_process(server_app, client_app, json.loads(arguments[1]), int(arguments[2]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

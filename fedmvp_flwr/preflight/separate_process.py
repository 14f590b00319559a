"""The preflight in a process of its own, for a command that goes on to start a run.

It needs torch and whatever the data set's source needs; the command itself stays small, for as
long as the run takes.
"""

import dataclasses
import json
import subprocess
import sys
from typing import Any

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.findings import PreflightReport

_MODULE = "fedmvp_flwr.preflight.separate_process"
_SHOWN = 2000  # characters at the end of what a broken preflight said


def preflight_apart(config: RunConfig, num_clients: int) -> PreflightReport:
    """Check a run without loading a model into this process.

    Args:
        config: the run's settings.
        num_clients: how many clients share the training samples.

    Raises:
        FedMVPError: the preflight itself broke down.
    """
    question = json.dumps({"config": config.to_run_config(), "clients": num_clients})
    done = subprocess.run(
        [sys.executable, "-m", _MODULE], input=question, capture_output=True, text=True, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        raise FedMVPError(
            f"The preflight broke down (code {done.returncode}); --no-preflight goes on without "
            f"it. {done.stderr.strip()[-_SHOWN:]}"
        ) from error
    return PreflightReport(**answer)


def main() -> None:
    """Answer one question from the standard input with one line on the standard output."""
    from fedmvp_flwr.preflight.checks import preflight

    question = json.load(sys.stdin)
    config = RunConfig.from_run_config(question["config"])
    report = preflight(config, question["clients"])
    sys.stdout.write("\n" + json.dumps(dataclasses.asdict(report)) + "\n")


if __name__ == "__main__":
    main()

"""The folder of a run: what its files are called, and what they say.

`fedmvp simulate` looks into it for as long as a run takes: nothing here needs torch.
"""

import json
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded

ROUND_FILE, ROUND_FILES = "round-{:05d}.safetensors", "round-*.safetensors"
_BEST_FILE, _BEST_FILES = "best-{:05d}.safetensors", "best-*.safetensors"


class RunFolder:
    """Names and reads the files of a run.

    Attributes:
        path: the folder, which need not be there.
        metrics: the events, JSON Lines.
        result: how the run ended, with its scores.
        model: the model that it ended with.
        report: the page about it.
        predictions: of the model that it ended with, for each sample of the server's test set.
        probe: the probe that the clients were compared on.
        checkpoints: folder of the models of the last rounds and of the best ones.
        completions: folder of completed samples to show.
        completions_index: what is in there.
        curves: folder of TensorBoard's files.
        log: log of a simulation.
        superlink_log: log of Flower's server in a simulation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.model = path / "model.safetensors"
        self.report = path / "report.html"
        self.predictions = path / "predictions.safetensors"
        self.probe = path / "probe.safetensors"
        self.checkpoints = path / "checkpoints"
        self.completions = path / "completions"
        self.completions_index = self.completions / "index.json"
        self.curves = path / "tensorboard"
        self.log = path / "run.log"
        self.superlink_log = path / "superlink.log"

    def round_file(self, server_round: int) -> Path:
        """The checkpoint of a round."""
        return self.checkpoints / ROUND_FILE.format(server_round)

    def newest_round(self) -> Path | None:
        """The newest checkpoint of a round, if any round was finished."""
        return max(self.checkpoints.glob(ROUND_FILES), default=None)

    def best_file(self, server_round: int) -> Path:
        """The model of a round that was the best one up to then."""
        return self.checkpoints / _BEST_FILE.format(server_round)

    def best_files(self) -> list[Path]:
        """All models of best rounds, in the order of the rounds."""
        return sorted(self.checkpoints.glob(_BEST_FILES))

    def curve_files(self) -> list[Path]:
        """TensorBoard's files."""
        return sorted(self.curves.glob("events.out.tfevents.*"))

    def read_result(self) -> dict[str, Any] | None:
        """The content of `result.json`; None if there is none, or a damaged one."""
        try:
            result = json.loads(self.result.read_bytes())
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None

    @property
    def completed(self) -> bool:
        """Whether the run was completed, as its `result.json` says."""
        return (self.read_result() or {}).get("status") == "completed"

    def require_overwritable(self) -> None:
        """Refuse to write a new run over one that was interrupted and can be gone on with.

        Raises:
            ConfigError: there are finished rounds of a run that was not completed, or the folder
                lies in the home folder of nobody.
        """
        folder = RunFolder(expanded(self.path, ConfigError, "out-dir").absolute())
        newest = folder.newest_round()
        if newest is None or folder.completed:
            return
        raise ConfigError(
            f"out-dir='{folder.path}' holds a run that was not completed; its newest checkpoint, "
            f'{newest.name}, would be deleted. Go on with that run: resume = "{folder.path}" in '
            f"the run-config, or `fedmvp simulate --resume {folder.path}`. For a new run, choose "
            "another out-dir, or remove that folder."
        )

    def clear(self) -> None:
        """Remove what an earlier run left here, so that the two cannot be mixed up.

        Only files that a run writes are removed: the folder may be the user's own.
        """
        files = [self.metrics, self.result, self.model, self.report, self.probe, self.predictions]
        files += [*self.checkpoints.glob(ROUND_FILES), *self.best_files(), *self.curve_files()]
        files += [self.completions_index, *self.completions.glob("??-original.png")]
        for path in [*files, *self.completions.glob("??-generated.png")]:
            path.unlink(missing_ok=True)

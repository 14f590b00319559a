"""The ServerApp: a probe of blended digits, the strategy FedMVP, and what it decided."""

import json
from logging import INFO
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp
from torch import Tensor

from digits_app.task import DigitsNet, accuracy, blended_digits, initial_model, load_split
from fedmvp_flwr import FedMVP, RoundObserver, RoundOptions, RoundRecord, distance_to_uniform

app = ServerApp()


@torch.inference_mode()
def represent(arrays: ArrayRecord, probe: Tensor) -> Tensor:
    """Penultimate activations (m, 64) of the probe's m images, by the model of these arrays."""
    return _model(arrays).eval().features(probe)


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train; the strategy raises, and so fails the run, when a round has no valid reply."""
    config = context.run_config
    seed, num_rounds = int(config["seed"]), int(config["num-server-rounds"])
    split = load_split(seed)
    out = Path(str(config["out-dir"])) if config["out-dir"] else None
    journal = _Journal(out)

    def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        score = accuracy(_model(arrays), split.test)
        journal.write("evaluation", round=server_round, where="server", accuracy={"test": score})
        return MetricRecord({"accuracy": score})

    strategy = FedMVP(
        blended_digits(split.public, int(config["probe-size"]), seed),
        represent,
        weighting=str(config["weighting"]),
        graph_temperature=float(config["graph-temperature"]),
        seed=seed,
        options=RoundOptions(
            evaluate_every=num_rounds, checkpoint_dir=out / "checkpoints" if out else None
        ),
        observer=journal,
        fraction_train=float(config["fraction-train"]),
    )
    result = strategy.start(
        grid, ArrayRecord(initial_model(seed).state_dict()), num_rounds, evaluate_fn=evaluate
    )
    at_clients = result.evaluate_metrics_clientapp.get(num_rounds, {})
    journal.finish(
        {
            "test-accuracy": result.evaluate_metrics_serverapp[num_rounds]["accuracy"],
            "client-accuracy": at_clients.get("accuracy"),  # None where every evaluation failed
        }
    )


def _model(arrays: ArrayRecord) -> DigitsNet:
    model = DigitsNet()
    model.load_state_dict(arrays.to_torch_state_dict())
    return model


class _Journal(RoundObserver):
    """Logs what happens, and writes it to `out`: metrics.jsonl, and result.json at the end."""

    def __init__(self, out: Path | None) -> None:
        self._out = out
        if out:
            out.mkdir(parents=True, exist_ok=True)
            for name in ("metrics.jsonl", "result.json"):
                (out / name).unlink(missing_ok=True)

    def trained(self, record: RoundRecord) -> None:
        self.write(
            "round",
            round=record.server_round,
            clients=record.clients,
            weights=record.weights,
            importance=record.importance,
            distance_to_uniform=distance_to_uniform(record.weights),
            train=record.metrics,
            rejected=[{"client": r.client, "reason": r.reason} for r in record.rejected],
        )

    def finish(self, scores: dict[str, object]) -> None:
        log(INFO, "Finished: %s", scores)
        if self._out:
            result = json.dumps({"status": "completed", **scores})
            (self._out / "result.json").write_text(result, encoding="utf-8")

    def write(self, event: str, **values: object) -> None:
        line = json.dumps({"event": event, **values})
        if self._out:
            with (self._out / "metrics.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        else:
            log(INFO, "%s", line)

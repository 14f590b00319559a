"""Settings of the run as a whole: how long, with whom, where to, what goes on the wire."""

from pydantic import Field, field_validator, model_validator

from fedmvp_flwr.aggregation.options import WireDtype
from fedmvp_flwr.config.section import Section, one_of

SELECTION_METRICS = tuple(
    f"{measure}.{condition}"
    for measure in ("accuracy", "macro-f1")
    for condition in ("complete", "image-only", "text-only")
)

_SELECTORS = ("none", "server", "clients")

FREE_KEYS = (
    "num-server-rounds",
    "out-dir",
    "resume",
    "cache-dir",
    "round-timeout",
    "node-timeout",
    "tensorboard",
)
"""Keys that say how long, how patiently and where, not what is computed in a round."""


class RunSettings(Section):
    """The run, the round protocol, the wire, and when to stop."""

    # The run
    num_server_rounds: int = Field(20, ge=1, description="Federated rounds.")
    fraction_train: float = Field(
        0.5, gt=0, le=1, description="Share of the clients that train in a round."
    )
    fraction_evaluate: float = Field(
        1.0, ge=0, le=1, description="Share of the clients that evaluate; 0 turns it off."
    )
    evaluate_every: int = Field(
        5, ge=1, description="Evaluate each so many rounds, and always after the last."
    )
    seed: int = Field(0, ge=0, description="Fixes partitions, masks, sampling and training.")
    out_dir: str = Field(
        "", description="Absolute folder of the results; empty: a new one in ~/.fedmvp/runs."
    )
    cache_dir: str = Field(
        "", description="Absolute folder of the feature store; empty: ~/.fedmvp/cache."
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda` or `cuda:N`.")
    tensorboard: bool = Field(
        False, description="Write the curves for TensorBoard, too (needs the package)."
    )

    # The round protocol, for nodes that come, go and fail
    round_timeout: float = Field(3600.0, gt=0, description="Seconds to wait for replies.")
    min_nodes: int = Field(
        0,
        ge=0,
        description="Nodes that must be ready before the first round, and connected later on "
        "(2 at least); 0: all that are connected at the start must be ready.",
    )
    node_timeout: float = Field(600.0, gt=0, description="Seconds to wait for enough nodes.")
    min_replies: int = Field(1, ge=1, description="Valid replies that a round needs.")
    round_retries: int = Field(
        1, ge=0, description="How often a round with fewer valid replies is repeated."
    )

    # On the wire
    wire_dtype: WireDtype = Field("fp16", description="Type of the arrays on the wire.")
    max_message_mb: float = Field(4.0, gt=0, description="Refuse a larger model message (MB).")

    # Going on with an earlier run, and when to stop
    resume: str = Field(
        "",
        description="Folder of an interrupted run: go on after its last finished round, with the "
        "same settings. Without `out-dir` the results go there, too.",
    )
    selection: str = Field(
        "none",
        description="Keep the model of the best round by the `server`'s validation split, or by "
        "the held-out samples of the `clients`; `none`: of the last round. What it is best in may "
        "follow: `server:macro-f1.text-only`; `accuracy.complete` otherwise.",
    )
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="Stop after so many evaluations without a better one (needs `selection`); "
        "0: never.",
    )

    @field_validator("selection")
    @classmethod
    def _check_selection(cls, value: str) -> str:
        by, colon, metric = value.partition(":")
        if by == "none" or by not in _SELECTORS or not colon:
            return one_of(value, _SELECTORS, ())
        return f"{by}:{one_of(metric, SELECTION_METRICS, ())}"

    @property
    def selected_by(self) -> str:
        """Whose scores select the model: `none`, `server` or `clients`."""
        return self.selection.partition(":")[0]

    @property
    def selection_metric(self) -> str:
        """What the best round is best in."""
        return self.selection.partition(":")[2] or SELECTION_METRICS[0]

    @model_validator(mode="after")
    def _selection_has_scores(self) -> "RunSettings":
        if self.early_stopping_patience and self.selected_by == "none":
            raise ValueError(
                f"early-stopping-patience={self.early_stopping_patience} needs a validation score: "
                "set selection='server' or selection='clients'"
            )
        if self.selected_by == "clients" and not self.fraction_evaluate:
            raise ValueError("selection='clients' needs clients that evaluate: fraction-evaluate>0")
        return self

"""One frozen, typed configuration, built once from Flower's flat run-config.

Flower hands every ServerApp and ClientApp a flat mapping of kebab-case keys to bool, int, float
or str. `RunConfig` checks it as a whole and reports everything that is wrong with it at once.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fedmvp_flwr.errors import ConfigError

Method = Literal["fedmvp", "fedavg"]
Weighting = Literal["importance", "uniform", "examples", "importance-examples"]
SelectionMetric = Literal[
    "accuracy.complete",
    "accuracy.image-only",
    "accuracy.text-only",
    "macro-f1.complete",
    "macro-f1.image-only",
    "macro-f1.text-only",
]
WireDtype = Literal["fp16", "bf16", "fp32"]
_PARTITIONS = ("dirichlet", "iid", "pathological", "shards")
_PARTITIONS_WITH_NAME = ("column", "file")
_PATTERNS = ("class", "client", "content", "random", "real")
_PATTERNS_WITH_NAME = ("file",)
Dtype = Literal["fp32", "bf16", "fp16"]


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


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class RunConfig(BaseModel):
    """Every setting of a run; the field `num_server_rounds` is the key `num-server-rounds`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
        populate_by_name=True,
        str_strip_whitespace=True,
        allow_inf_nan=False,
    )

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
    round_timeout: float = Field(3600.0, gt=0, description="Seconds to wait for replies.")

    # The round protocol, for nodes that come, go and fail
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

    tensorboard: bool = Field(
        False, description="Write the curves for TensorBoard, too (needs the package)."
    )

    # Going on with an earlier run, and when to stop
    resume: str = Field(
        "",
        description="Folder of an interrupted run: go on after its last finished round, with the "
        "same settings. Without `out-dir` the results go there, too.",
    )
    selection: Literal["none", "server", "clients"] = Field(
        "none",
        description="Keep the model of the best round by the `server`'s validation split, or by "
        "the held-out samples of the `clients`; `none`: of the last round.",
    )
    selection_metric: SelectionMetric = Field(
        "accuracy.complete", description="What the best round is best in."
    )
    early_stopping_patience: int = Field(
        0,
        ge=0,
        description="Stop after so many evaluations without a better one (needs `selection`); "
        "0: never.",
    )
    validation_samples: int = Field(
        0, ge=0, description="Flora: validation samples, for `selection`."
    )

    # The data and its holes
    dataset: str = Field(
        "flora",
        description="`flora`, the embedded data; `flora:N`, another set of the same species; "
        "`folder:PATH`, `hf:NAME-or-PATH`, `cub:PATH`, `flowers:PATH`, `coco:PATH`, "
        "`flickr30k:PATH`, `fashion:PATH`: your own, see docs/data.md; `nodes`: every node has "
        "its own folder, the server none, see docs/deploy.md.",
    )
    train_samples: int = Field(
        1500, ge=1, description="Flora: training samples, all clients together."
    )
    test_samples: int = Field(500, ge=1, description="Flora: test samples.")
    partition: str = Field(
        "dirichlet",
        description="How the training samples are dealt to the clients: `dirichlet`, `iid`, "
        "`shards`, `pathological`, `column:NAME` (a natural owner) or `file:PATH`.",
    )
    dirichlet_alpha: float = Field(
        0.1, gt=0, description="Label skew of `dirichlet`; smaller is more skewed."
    )
    classes_per_client: int = Field(
        2, ge=1, description="Classes of a client with `pathological`, shards with `shards`."
    )
    missing_ratio: float = Field(
        0.8, ge=0, le=1, description="Share of a client's samples that lack one modality."
    )
    missing_image_share: float = Field(
        0.5, ge=0, le=1, description="Share of those that lack the image; the others lack the text."
    )
    missing_pattern: str = Field(
        "random",
        description="Which samples lose a modality: `random`, `class`, `client`, `content`, `real` "
        "(none but real holes) or `file:PATH`, a saved mask.",
    )
    missing_strength: float = Field(
        2.0, ge=0, description="How much `class` and `content` differ from chance; 0: not at all."
    )
    test_missing_pattern: str = Field(
        "random", description="The same for the test samples, with `test-missing-ratio`."
    )
    test_missing_ratio: float = Field(
        0.0, ge=0, le=1, description="Share of the test samples that lack one modality."
    )

    # Your own data (docs/data.md)
    image_column: str = Field("", description="Column of the images; empty: the source's own.")
    text_column: str = Field("", description="Column of the texts; empty: the source's own.")
    label_column: str = Field("", description="Column of the labels; empty: the source's own.")
    id_column: str = Field(
        "", description="Column of the samples' keys; empty: the image's name, or the row."
    )
    split_column: str = Field(
        "", description="Column that names the split; empty: `split`, where there is one."
    )
    train_split: str = Field(
        "train", min_length=1, description="Split to train on; `a+b` joins two."
    )
    test_split: str = Field(
        "test", description="Split to test on; empty: a `test-fraction` of the training split."
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of each class held out for testing, where the data has no split.",
    )
    benchmark_split: Literal["official", "paper"] = Field(
        "official",
        description="`cub`, `flowers`: the split of the archive, or one of the paper's sizes.",
    )
    split_seed: int = Field(
        0, ge=0, description="Fixes that share and the choice of captions, apart from `seed`."
    )
    captions: Literal["sampled", "first", "joined"] = Field(
        "sampled",
        description="Of several texts of a sample: one drawn by its key and `split-seed`, the "
        "first, or all in a row.",
    )
    text_max_chars: int = Field(100_000, ge=1, description="A longer text counts as a bad sample.")
    class_names_file: str = Field(
        "",
        description="Text file of the class names in the order of the labels, one a line, each "
        "with a description after a tab if you like; empty: the sorted labels.",
    )
    mask_class_words: bool = Field(
        False, description="Replace the words of all class names in the texts by `item`."
    )
    bad_samples: Literal["refuse", "skip"] = Field(
        "refuse", description="Broken, unsafe or contradictory samples: `refuse` to run, or `skip`."
    )

    # The method
    method: Method = Field(
        "fedmvp",
        description="`fedmvp`: all losses, CKA weights. `fedavg`: cross-entropy, example weights.",
    )
    completion: Literal["foundation", "retrieval", "none"] = Field(
        "foundation",
        description="`foundation`: frozen models fill the holes. `retrieval`: the nearest complete "
        "sample does. `none`: holes stay.",
    )
    incomplete: Literal["mask", "drop"] = Field(
        "mask", description="Samples that still have a hole: `mask` it, or `drop` the sample."
    )
    alpha: float = Field(0.01, ge=0, description="Weight of MCM, the contrastive loss (`fedmvp`).")
    beta: float = Field(0.1, ge=0, description="Weight of RAM, the margin loss (`fedmvp`).")
    temperature: float = Field(0.1, gt=0, description="Temperature of MCM.")
    auxiliary_weight: float = Field(
        0.1, ge=0, description="Weight of the cross-entropy on single-modality vectors (`fedmvp`)."
    )
    modality_dropout: float = Field(
        0.3, ge=0, lt=1, description="Chance that one modality of a pair is hidden in a step."
    )
    generated_dropout: float = Field(
        0.7, ge=0, lt=1, description="Chance that a generated modality is hidden in a step."
    )
    weighting: Literal["auto", Weighting] = Field(
        "auto",
        description="Weights of the clients; `auto`: importance (`fedmvp`), examples (`fedavg`).",
    )
    graph_temperature: float = Field(
        1.0,
        gt=0,
        description="Importance ** (1 / this): below 1 sharpens the graph, 1 is the paper's.",
    )

    # Local training
    local_epochs: int = Field(2, ge=1, description="Epochs over the client's samples in a round.")
    batch_size: int = Field(32, ge=1, description="Samples per training step.")
    learning_rate: float = Field(
        2e-3, gt=0, description="Peak rate of AdamW; cosine over the rounds."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    model_width: int = Field(128, ge=8, description="Width d of the joint encoder.")
    model_layers: int = Field(1, ge=1, description="Transformer layers over both streams.")
    model_heads: int = Field(4, ge=1, description="Attention heads; divides the width.")
    model_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the joint encoder.")

    # On the wire
    wire_dtype: WireDtype = Field("fp16", description="Type of the arrays on the wire.")
    max_message_mb: float = Field(4.0, gt=0, description="Refuse a larger model message (MB).")

    # The frozen foundation models
    image_encoder: str = Field("open_clip:embedded", description="`library:name[:path]`.")
    text_encoder: str = Field("open_clip:embedded", description="`library:name[:path]`.")
    captioner: str = Field("transformers:embedded", description="`library:name[:path]`.")
    image_generator: str = Field("diffusers:embedded", description="`library:name[:path]`.")
    image_grid: int = Field(
        3, ge=1, description="Image tokens are pooled to this many rows and columns."
    )
    text_max_tokens: int = Field(32, ge=1, description="Longer texts are cut.")
    foundation_batch_size: int = Field(128, ge=1, description="Samples per call of a frozen model.")

    # Completion
    prompt_template: str = Field(
        "coarse-to-fine",
        description="`coarse`, `coarse-to-fine` or `detailed`; for chat models `instruct` or "
        "`instruct-coarse`.",
    )
    caption_questions: str = Field(
        "what colour are the petals? => {} petals; what shape are the petals? => {} petals; "
        "how many petals are there? => {} petals; what pattern do the petals have? => {} petals; "
        "what is the centre like? => a {} centre",
        description="Questions of `coarse-to-fine`, separated by `;`, each with the phrase that "
        "its answer becomes.",
    )
    label_in_prompt: bool = Field(
        False,
        description="Whether the class name may enter a prompt (never possible at test time).",
    )
    quality_gate: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="A completion whose image-text similarity lies below this quantile of the "
        "client's real pairs is rejected; 0 accepts all.",
    )
    completion_seed: int = Field(0, ge=0, description="Fixes the completions, apart from `seed`.")
    generator_steps: int = Field(0, ge=0, description="Sampling steps; 0: the model's own default.")
    generator_guidance: float = Field(
        -1.0, ge=-1, description="Guidance scale; -1: the model's own default."
    )

    # Bring your own frozen models
    gate_encoder: str = Field(
        "",
        description="Image-text model that the quality gate measures with; empty: the encoders.",
    )
    retrieval_source: Literal["own", "public"] = Field(
        "own",
        description="Where `retrieval` looks: the client's `own` complete pairs, or a `public` "
        "split that everyone holds.",
    )
    public_split: str = Field(
        "public",
        description="The data set's split that `retrieval-source` and `probe-source` mean.",
    )
    probe_source: Literal["generated", "public"] = Field(
        "generated",
        description="`generated`: the probe is generated from class descriptions, as in the paper. "
        "`public`: it is real pairs of the public split.",
    )
    captioner_dtype: Dtype = Field("fp32", description="Type that the captioner computes in.")
    captioner_batch_size: int = Field(
        0, ge=0, description="Images per call of the captioner; 0: `foundation-batch-size`."
    )
    captioner_max_tokens: int = Field(
        0, ge=0, description="Longest caption or answer in tokens; 0: the adapter's default."
    )
    generator_dtype: Dtype = Field("fp32", description="Type that the generator computes in.")
    generator_batch_size: int = Field(
        0, ge=0, description="Images per call of the generator; 0: `foundation-batch-size`."
    )
    generator_size: int = Field(
        0, ge=0, description="Height and width in pixels; 0: the model's own default."
    )
    generator_offload: Literal["none", "model", "sequential"] = Field(
        "none",
        description="Keep the generator in main memory and move to the GPU one `model` or layer "
        "after layer (`sequential`) as needed; takes the package accelerate.",
    )

    # The probe
    probe_per_class: int = Field(8, ge=1, description="Synthetic probe samples per class.")
    probe_file: str = Field(
        "", description="Use this saved probe (.safetensors) instead of generating one."
    )
    probe_tuning: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the server trains the averaged model on the probe after each round; "
        "`auto`: with `fedmvp`.",
    )
    probe_tuning_epochs: int = Field(1, ge=1, description="Epochs over the probe in a round.")
    probe_tuning_rate: float = Field(
        0.25, gt=0, description="Learning rate on the probe, as a share of the round's."
    )

    @field_validator("partition")
    @classmethod
    def _check_partition(cls, value: str) -> str:
        return _one_of(value, _PARTITIONS, _PARTITIONS_WITH_NAME)

    @field_validator("missing_pattern", "test_missing_pattern")
    @classmethod
    def _check_pattern(cls, value: str) -> str:
        return _one_of(value, _PATTERNS, _PATTERNS_WITH_NAME)

    @model_validator(mode="after")
    def _check_together(self) -> "RunConfig":
        if self.model_width % self.model_heads:
            raise ValueError(
                f"model-heads={self.model_heads} does not divide model-width={self.model_width}"
            )
        if self.probe_per_class == 1 and not self.probe_file:
            raise ValueError("probe-per-class=1 leaves too little to compare clients on; use >= 2")
        if self.early_stopping_patience and self.selection == "none":
            raise ValueError(
                f"early-stopping-patience={self.early_stopping_patience} needs a validation score: "
                "set selection='server' or selection='clients'"
            )
        if self.selection == "clients" and not self.fraction_evaluate:
            raise ValueError("selection='clients' needs clients that evaluate: fraction-evaluate>0")
        return self

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any]) -> "RunConfig":
        """Build the configuration from Flower's run-config.

        Args:
            run_config: kebab-case keys; a missing key takes its default.

        Raises:
            ConfigError: names every unknown key (with the nearest known one) and every bad value.
        """
        names = set(cls.keys())
        problems = [_unknown_key(key) for key in run_config if key not in names]
        known = {key: value for key, value in run_config.items() if key in names}
        try:
            config = cls.model_validate(known)
        except ValidationError as error:
            problems += [_describe(dict(item)) for item in error.errors()]
        if problems:
            text = "; ".join(problems)
            raise ConfigError(f"Wrong run-config: {text}" + ("" if text.endswith("?") else "."))
        return config

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The run-config keys, in the order of the documentation."""
        return tuple(_kebab(name) for name in cls.model_fields)

    def to_run_config(self) -> dict[str, bool | int | float | str]:
        """Return the flat kebab-case mapping that `from_run_config` reads."""
        return self.model_dump(by_alias=True)

    @property
    def client_weighting(self) -> Weighting:
        """The weighting with `auto` resolved by the method."""
        if self.weighting != "auto":
            return self.weighting
        return "importance" if self.method == "fedmvp" else "examples"

    @property
    def tunes_on_probe(self) -> bool:
        """Whether the server trains on the probe, with `auto` resolved by the method."""
        if self.probe_tuning != "auto":
            return self.probe_tuning == "on"
        return self.method == "fedmvp"

    @property
    def owner_column(self) -> str:
        """Column that `partition='column:NAME'` deals by; empty for other partitions."""
        kind, _, name = self.partition.partition(":")
        return name if kind == "column" else ""

    @property
    def captions_at_once(self) -> int:
        """Images per call of the captioner."""
        return self.captioner_batch_size or self.foundation_batch_size

    @property
    def images_at_once(self) -> int:
        """Prompts per call of the image generator."""
        return self.generator_batch_size or self.foundation_batch_size

    @property
    def needs_probe(self) -> bool:
        """Whether the weights or the tuning need the probe."""
        graph = self.client_weighting in ("importance", "importance-examples")
        return graph or self.tunes_on_probe

    @property
    def generates_probe(self) -> bool:
        """Whether the image generator has to make the probe."""
        return self.needs_probe and not self.probe_file and self.probe_source == "generated"


def _one_of(value: str, words: tuple[str, ...], prefixes: tuple[str, ...]) -> str:
    """Refuse a value that is neither one of the words nor PREFIX:SOMETHING."""
    prefix, colon, rest = value.partition(":")
    if value in words or (colon and prefix in prefixes and rest.strip()):
        return value
    near = difflib.get_close_matches(prefix, [*words, *prefixes], n=1)
    allowed = ", ".join([*words, *(f"{prefix}:..." for prefix in prefixes)])
    raise ValueError(f"expected {allowed}" + (f"; did you mean '{near[0]}'?" if near else ""))


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, RunConfig.keys(), n=1)
    hint = f", did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{key}'{hint}"


def _describe(item: dict[str, Any]) -> str:
    key = ".".join(_kebab(str(part)) for part in item["loc"])
    if not key:
        return str(item["msg"]).removeprefix("Value error, ")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{key}={item['input']!r}: {message.lower()}"

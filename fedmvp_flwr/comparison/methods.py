"""The methods that a comparison knows by name: each is settings of the same code."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedmvp_flwr.simulation.flower_app import ConfigValue

REFERENCE = "fedmvp"  # what the others are measured against


@dataclass(frozen=True)
class Method:
    """One way to train.

    Attributes:
        settings: run-config keys that make it.
        says: what it is, in a few words.
        labels: whose labels it learns from.
        completes: whether it fills holes.
        whole: whether it sees data without holes, which only simulated holes allow.
    """

    settings: Mapping[str, ConfigValue]
    says: str
    labels: str = "the owners'"
    completes: bool = False
    whole: bool = False


_MASK: dict[str, ConfigValue] = {"method": "fedavg", "completion": "none"}
_TUNED: dict[str, ConfigValue] = {"weighting": "uniform", "probe-tuning": "on"}
_WHOLE: dict[str, ConfigValue] = {"missing-pattern": "random", "missing-ratio": 0.0}
_BOTH = "the owners' and the probe's"

METHODS: dict[str, Method] = {
    "drop": Method(_MASK | {"incomplete": "drop"}, "FedAvg on the complete samples alone"),
    "mask": Method(_MASK, "FedAvg that masks what is absent"),
    "mask-equal": Method(_MASK | {"weighting": "uniform"}, "the same, owners of equal weight"),
    "mask-tuned": Method(
        _MASK | _TUNED, "the same, tuned on the server's probe after each round", _BOTH
    ),
    "server-only": Method(
        {
            "method": "server-only",
            "completion": "none",
            "probe-tuning-rate": 1.0,
            "probe-tuning-epochs": 5,
        },
        "no owner takes part: the server learns from its probe",
        "the probe's",
    ),
    "fedavg-completed": Method({"method": "fedavg"}, "FedAvg on completed samples", completes=True),
    "fedmvp-paper": Method(
        {"method": "fedmvp", "probe-tuning": "off"},
        "FedMVP with its server as published: CKA weights, no tuning",
        completes=True,
    ),
    "fedmvp": Method({"method": "fedmvp"}, "FedMVP", _BOTH, completes=True),
    "nothing-missing": Method(
        _MASK | _WHOLE, "FedAvg on the same samples without holes", whole=True
    ),
    "nothing-missing-tuned": Method(
        _MASK | _WHOLE | {"weighting": "importance", "probe-tuning": "on"},
        "the same with FedMVP's server",
        _BOTH,
        whole=True,
    ),
}

QUESTION = ("mask", "mask-tuned", "fedmvp", "nothing-missing", "nothing-missing-tuned")
"""Methods that tell whether completion is worth it."""

"""What client and server call their messages, and what stands in them."""

from collections.abc import Sequence

from flwr.app import ConfigRecord

CLASS_NAMES = "class-names"

GATE_FALLBACK = "gate-fallback"  # in the config of messages, see `fallback_threshold`


def class_names_record(names: Sequence[str]) -> ConfigRecord:
    """The classes of a run, as they travel to the nodes."""
    return ConfigRecord({CLASS_NAMES: list(names)})


PREPARE_ACTION = "prepare"

PREPARE_MESSAGE = f"query.{PREPARE_ACTION}"

PREPARED, SUMMARY, PROBLEM = "prepared", "summary", "problem"

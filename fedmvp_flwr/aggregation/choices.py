"""What may be chosen of the strategy, by name. Imports nothing: the settings name it, too."""

from typing import Literal

Weighting = Literal["importance", "uniform", "examples", "importance-examples"]

GRAPH_WEIGHTINGS: tuple[Weighting, ...] = ("importance", "importance-examples")
"""Those that need the similarity graph of the clients."""

WireDtype = Literal["fp16", "bf16", "fp32"]

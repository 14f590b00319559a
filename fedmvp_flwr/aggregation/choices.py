"""What may be chosen of the strategy, by name. Imports nothing: the settings name it, too."""

from typing import Literal

Weighting = Literal["importance", "uniform", "examples", "importance-examples"]

WireDtype = Literal["fp16", "bf16", "fp32"]

import subprocess
import sys

import pytest

import fedmvp_flwr

NAMES = (
    "FedMVP",
    "linear_cka",
    "cka_matrix",
    "graph_importance",
    "multimodal_contrastive_matching_loss",
    "representation_aligned_margin_loss",
    "RoundObserver",
    "RoundOptions",
    "RunConfig",
)
HEAVY = (
    "transformers", "diffusers", "open_clip", "timm", "datasets", "flwr_datasets", "ray",
    "matplotlib", "lmdb", "PIL",
)  # fmt: skip


# What a project that reuses the strategy has loaded in any case.
BEFORE = "import torch, flwr.app, flwr.clientapp, flwr.serverapp.strategy"
MEASURE = """
import sys, time
before, began = set(sys.modules), time.process_time()
{statement}
print(time.process_time() - began, *sorted(sys.modules.keys() - before))
"""


def loaded_by(statement, before="pass"):
    """Seconds of processor time of a statement in a fresh process, and the modules it loads."""
    code = f"{before}\n{MEASURE.format(statement=statement)}"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    seconds, *modules = result.stdout.split()
    return float(seconds), set(modules)


@pytest.mark.parametrize("name", NAMES)
def test_the_public_names(name):
    assert callable(getattr(fedmvp_flwr, name))
    assert name in fedmvp_flwr.__all__


def test_importing_the_library_loads_no_heavy_library():
    _, modules = loaded_by("from fedmvp_flwr import " + ", ".join(NAMES))
    assert set(HEAVY) & modules == set()


def test_the_strategy_costs_little_beside_torch_and_flower_and_knows_no_settings():
    seconds, modules = loaded_by("from fedmvp_flwr import FedMVP, register_identity", BEFORE)
    assert seconds < 0.25
    assert "pydantic" not in modules
    rooms = {name.split(".")[1] for name in modules if name.startswith("fedmvp_flwr.")}
    assert rooms == {"aggregation", "base"}

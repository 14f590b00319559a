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
    "RunConfig",
)
HEAVY = (
    "transformers", "diffusers", "open_clip", "timm", "datasets", "flwr_datasets", "ray",
    "matplotlib", "lmdb", "PIL",
)  # fmt: skip


def loaded_by(statement):
    code = f"import sys\n{statement}\nprint(*sorted({HEAVY!r} & sys.modules.keys()))"
    code = code.replace(repr(HEAVY), repr(set(HEAVY)))
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return result.stdout.split()


@pytest.mark.parametrize("name", NAMES)
def test_the_public_names(name):
    assert callable(getattr(fedmvp_flwr, name))
    assert name in fedmvp_flwr.__all__


def test_importing_the_library_loads_no_heavy_library():
    assert loaded_by("from fedmvp_flwr import " + ", ".join(NAMES)) == []

"""A whole run on a user's folder with real holes in its training and its test samples."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def hospital(tmp_path):
    """Sixty small images of two kinds with reports; every fifth lacks one of the two."""
    from PIL import Image

    root = tmp_path / "hospital"
    root.mkdir()
    rows = []
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        row = {"id": f"case {i}", "file_name": f"{i}.png", "text": f"report {i % 7} of a case"}
        row |= {"label": ("ill", "well")[i % 2], "split": "test" if i % 4 == 3 else "train"}
        if i % 5 == 2:
            row["file_name" if i % 2 else "text"] = None
        rows.append(row | {"site": f"site {i % 3}"})
    (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_real_holes_and_natural_owners(federate, hospital, tmp_path):
    result, events = federate(
        dataset=f"folder:{hospital}",
        id_column="id",
        partition="column:site",
        missing_pattern="real",
        num_server_rounds=1,
        fraction_train=1.0,
        report=True,
    )
    assert result["status"] == "completed"
    clients = [event for event in events if event["event"] == "client"]
    assert [c["samples"] for c in clients] == [15, 15, 15]
    assert sum(c["missing"]["image"] + c["missing"]["text"] for c in clients) == 9
    assert set(result["accuracy"]) == {"complete", "image-only", "text-only", "given"}
    assert (tmp_path / "out" / "report.html").exists()
    assert events[0]["class-names"] == ["ill", "well"]


def test_a_bad_sample_stops_the_run_before_round_1(federate, hospital, tmp_path):
    from fedmvp_flwr.base.errors import DataError

    (hospital / "8.png").write_bytes(b"\x89PNG")
    settings = {"dataset": f"folder:{hospital}", "id_column": "id", "num_server_rounds": 1}
    with pytest.raises(DataError, match=r"metadata\.jsonl:9: '8\.png'"):
        federate(**settings)
    result, _ = federate(**settings, bad_samples="skip")
    assert result["status"] == "completed"

import json

import numpy as np
import pytest
from PIL import Image

from fedmvp_flwr.reporting import ReportError, write_completion_picture


def test_picture_shows_the_completed_images(new_run, tmp_path):
    run = new_run()
    run.completions(count=6)
    path = write_completion_picture(run.out, tmp_path / "picture.png")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width > 1200
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    for colour in ((0xC4, 0x30, 0x4A), (0x8A, 0x5F, 0xD0), (0xE0, 0xA8, 0x20)):
        assert (colours == colour).all(axis=1).sum() > 1000


def test_a_run_without_completions_is_named(new_run, tmp_path):
    with pytest.raises(ReportError, match="completion='foundation'"):
        write_completion_picture(new_run().out, tmp_path / "picture.png")


def test_one_kind_of_completion_is_enough(new_run, tmp_path):
    run = new_run()
    run.completions(count=1)
    assert write_completion_picture(run.out, tmp_path / "picture.png").exists()


def test_samples_that_passed_the_gate_come_first(new_run, tmp_path):
    run = new_run()
    run.completions(count=2)
    index = run.out / "completions" / "index.json"
    rows = json.loads(index.read_text())["completions"]
    rejected = {**rows[0], "accepted": False}
    outcomes = []
    for content in ([rows[0]], [rejected, rejected, rejected, rows[0]]):
        index.write_text(json.dumps(content))
        write_completion_picture(run.out, tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as image:
            outcomes.append(np.asarray(image.convert("RGB"))[:350])
    assert np.array_equal(*outcomes)


def test_a_folder_that_does_not_exist_is_named(new_run, tmp_path):
    run = new_run()
    run.completions(count=1)
    with pytest.raises(ReportError, match="cannot be written"):
        write_completion_picture(run.out, tmp_path / "no" / "picture.png")

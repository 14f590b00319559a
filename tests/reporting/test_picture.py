import json

import numpy as np
import pytest
from PIL import Image

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting import write_completion_picture

_EDGE, _FEW = 32, 0.01  # of 255; share of the values


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
    run.completions(count=6)
    index = run.out / "completions" / "index.json"
    rows = json.loads(index.read_text())["completions"]
    passed, other = rows[0], rows[2]
    rejected = {**other, "accepted": False}

    def top_of_page(content):
        index.write_text(json.dumps(content))
        write_completion_picture(run.out, tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as image:
            return np.asarray(image.convert("RGB"))[:350].astype(int)

    def differ(first, second):
        return np.mean(np.abs(first - second) > _EDGE)

    alone = top_of_page([passed])
    # Another height of the page moves the edges of letters by a fraction of a pixel.
    assert differ(alone, top_of_page([rejected, rejected, rejected, passed])) < _FEW
    assert differ(alone, top_of_page([other])) > _FEW


def test_a_folder_that_does_not_exist_is_named(new_run, tmp_path):
    run = new_run()
    run.completions(count=1)
    with pytest.raises(ReportError, match="cannot be written"):
        write_completion_picture(run.out, tmp_path / "no" / "picture.png")

import base64
import io

import numpy as np
from PIL import Image

from fedmvp_flwr.reporting.heatmaps import heat_map, one_sided, png_uri, two_sided


def test_opacity_is_linear_and_clipped():
    values = np.array([[0.0, 0.5, 0.75, 1.0, 2.0]])
    assert one_sided(values, 0.5, 1.0)[..., 3].tolist() == [[0.0, 0.0, 0.5, 1.0, 1.0]]


def test_a_span_of_nothing_is_fully_shaded():
    assert one_sided(np.ones((2, 2)), 1.0, 1.0)[..., 3].min() == 1.0


def test_sign_decides_the_hue_and_size_the_opacity():
    colours = two_sided(np.array([[-0.1, 0.1, 0.0, np.nan]]), 0.1)[0]
    assert colours[0, 3] == colours[1, 3] == 1.0
    assert colours[0, 0] > colours[0, 2]  # vermilion
    assert colours[1, 2] > colours[1, 0]  # blue
    assert colours[2, 3] == 0.0
    assert 0 < colours[3, 3] < 1  # grey
    assert colours[3, 0] == colours[3, 1] == colours[3, 2]


def test_png_has_one_pixel_per_cell():
    colours = one_sided(np.array([[0.0, 1.0]]), 0.0, 1.0)
    uri = png_uri(colours)
    kind, content = uri.split(",")
    assert kind == "data:image/png;base64"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert pixels.shape == (1, 2, 4)
    assert pixels[0, :, 3].tolist() == [0, 255]


def test_labels_and_numbers_are_text():
    values = np.array([[0.0, 12.0], [3.0, np.nan]])
    plot = heat_map(
        "x", "label", values, one_sided(values, 0, 12), ["a & b", "$x_{"], ["<c>", "\x07d"],
        axis_labels=("Row", "Column"), text=lambda value: f"{value:.0f}!", cell=0.3, upright=True,
    )  # fmt: skip
    for text in ("a &amp; b", "$x_{", "&lt;c&gt;", " d", "12!", "3!", "Row", "Column"):
        assert f">{text}<" in plot.svg
    assert "nan" not in plot.svg
    assert "<c>" not in plot.svg

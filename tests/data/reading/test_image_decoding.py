import contextlib
import io
import os
import struct
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import image_checks, image_decoding
from fedmvp_flwr.data.reading.image_checks import CheckedImage, check_files, check_image
from fedmvp_flwr.data.reading.image_decoding import TooManyPixelsError, decode_image, to_rgb


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def ramp(dtype, top):
    return np.linspace(0, top, 256).reshape(16, 16).astype(dtype)


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "LAB", "HSV"]
)
def test_every_mode_becomes_rgb(mode):
    picture = Image.new("RGB", (8, 6), (200, 30, 30))
    if mode == "LAB":
        picture = Image.new("LAB", (8, 6), (128, 128, 128))
    else:
        picture = picture.convert("L").convert(mode) if mode == "LA" else picture.convert(mode)
    assert (to_rgb(picture).mode, to_rgb(picture).size) == ("RGB", (8, 6))


def test_colours_survive_cmyk_and_palette():
    red = Image.new("RGB", (8, 8), (220, 20, 20))
    for mode, form in (("CMYK", "JPEG"), ("P", "PNG"), ("P", "GIF")):
        pixel = np.asarray(decode_image(encoded(red.convert(mode), form), "x"))[4, 4].astype(int)
        assert pixel[0] > 180, (mode, form)
        assert pixel[1:].max() < 80, (mode, form)


def test_alpha_is_laid_over_white():
    layered = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    layered.putpixel((1, 1), (255, 0, 0, 255))
    decoded = decode_image(encoded(layered), "x")
    assert decoded.getpixel((0, 0)) == (255, 255, 255)
    assert decoded.getpixel((1, 1)) == (255, 0, 0)


def test_a_transparent_palette_is_laid_over_white():
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([0, 0, 0, 255, 0, 0])
    decoded = decode_image(encoded(picture, transparency=0), "x")
    assert decoded.getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_to_eight():
    picture = Image.fromarray(ramp(np.uint16, 65535))
    for form in ("PNG", "TIFF"):
        pixels = np.asarray(decode_image(encoded(picture, form), "x"))[..., 0].ravel().astype(int)
        assert pixels[0] == 0
        assert pixels[-1] == 255
        assert np.abs(pixels - np.arange(256)).max() <= 1


def test_a_dark_sixteen_bit_image_stays_dark():
    picture = Image.fromarray(np.full((8, 8), 200, dtype=np.uint16))
    assert np.asarray(decode_image(encoded(picture), "x")).max() <= 1


def test_floats_are_stretched_and_nan_is_black():
    values = ramp(np.float32, 3.0)
    values[0, 1] = np.nan
    decoded = np.asarray(decode_image(encoded(Image.fromarray(values), "TIFF"), "x"))
    assert decoded.max() == 255
    assert decoded[0, 1, 0] == 0


def test_a_constant_wide_image_is_no_division_by_zero():
    assert np.asarray(to_rgb(Image.fromarray(np.full((4, 4), 7.0, dtype=np.float32)))).max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation):
    upright = Image.new("RGB", (4, 2), "black")
    for x in range(2):
        for y in range(2):
            upright.putpixel((x, y), (255, 255, 255))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(stored, "PNG", exif=exif)
    assert list(decode_image(content, "x").tobytes()) == list(upright.tobytes())
    assert check_image(content).rotated == (orientation > 1)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_the_first_frame_of_an_animation(form):
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue", "green")]
    content = encoded(
        frames[0], form, save_all=True, append_images=frames[1:], lossless=True, duration=10
    )
    red, green, blue = decode_image(content, "x").getpixel((2, 2))
    assert red > 200
    assert green + blue < 60
    assert check_image(content).animated


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_images_are_named(form, share, picture):
    content = encoded(picture(size=(96, 96)), form)
    assert check_image(content).problem == ""
    cut = content[: int(share * len(content))]
    assert check_image(cut).problem
    assert check_image(cut).brightness == -1
    with pytest.raises(DataError, match=r"'shelf/a\.jpg' cannot be decoded"):
        decode_image(cut, "shelf/a.jpg")


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_named(content):
    assert check_image(content).problem
    with pytest.raises(DataError, match="'x' cannot be decoded"):
        decode_image(content, "x")


def bomb(width, height):
    """A PNG header that promises width x height pixels, with next to no data."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9_500, 12_000, 60_000])
def test_bombs_are_refused_by_their_header(side):
    content = bomb(side, side)
    assert check_image(content).bomb
    with pytest.raises(TooManyPixelsError, match="'x'"):
        decode_image(content, "x")


def test_the_limit_is_the_number_of_pixels(monkeypatch, picture):
    content = encoded(picture(size=(10, 10)))
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 100)
    assert not check_image(content).problem
    monkeypatch.setattr(image_decoding, "MAX_PIXELS", 99)
    assert "10 x 10 pixels" in check_image(content).problem


@pytest.mark.parametrize("size", [(1, 1_000_000), (1_000_000, 1), (10, 1001), (1, 101)])
def test_strips_that_scaling_would_blow_up_are_refused_by_their_header(size):
    check = check_image(bomb(*size))
    assert check.bomb
    assert f"{size[0]} x {size[1]} pixels: more than 100 times as long as wide" in check.problem
    with pytest.raises(TooManyPixelsError, match=r"'x': .* once its shortest side is scaled"):
        decode_image(bomb(*size), "x")


@pytest.mark.parametrize("size", [(1, 100), (1000, 10), (6, 4)])
def test_long_images_within_the_bound_are_fine(size):
    content = encoded(Image.new("RGB", size))
    assert not check_image(content).problem
    assert decode_image(content, "x").size == size


@pytest.mark.filterwarnings("ignore:Image was not the expected size")
def test_a_strip_within_an_icon_is_refused_too():
    strip = encoded(Image.new("RGB", (1, 5000)))
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(strip), 22)  # says it is 16 x 16
    content = struct.pack("<HHH", 0, 1, 1) + entry + strip
    assert check_image(content).bomb
    with pytest.raises(TooManyPixelsError, match="1 x 5000"):
        decode_image(content, "x")


def test_containers_that_hold_an_image_of_another_size_are_not_read():
    strip = encoded(Image.new("L", (1, 5000)))
    fields = {(3, 60): b"\3\1", (3, 20): b"\20", (3, 30): b"\20", (3, 120): b"\5", (8, 10): strip}
    content = b"".join(
        struct.pack(">BBBH", 0x1C, *tag, len(data)) + data for tag, data in fields.items()
    )
    content += bytes(5)  # no further field
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("IPTC", (16, 16))
    assert check_image(content).problem.startswith("no known image format")
    with pytest.raises(DataError, match="no known image format"):
        decode_image(content, "x")


@pytest.fixture
def ghostscript(tmp_path, monkeypatch):
    """A program `gs` in front of all others; the file that it writes when it is run."""
    ran = tmp_path / "ran"
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # whether there is one is remembered
    return ran


def test_no_other_program_is_run_on_an_image(ghostscript):
    content = encoded(Image.new("RGB", (20, 10), "red"), "EPS")
    with contextlib.suppress(OSError), Image.open(io.BytesIO(content)) as image:
        image.load()
    assert ghostscript.exists(), "Pillow itself runs it"
    ghostscript.unlink()
    assert "no known image format; those that are read are JPEG" in check_image(content).problem
    with pytest.raises(DataError, match=r"'a\.jpg' cannot be decoded"):
        decode_image(content, "a.jpg")
    assert not ghostscript.exists()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_wide_images_are_scaled_band_by_band(dtype, monkeypatch):
    values = np.random.default_rng(0).integers(0, 60_000, (37, 20)).astype(dtype)
    whole = np.asarray(to_rgb(Image.fromarray(values)))
    monkeypatch.setattr(image_decoding, "_BAND", 64)
    assert (np.asarray(to_rgb(Image.fromarray(values))) == whole).all()


def test_a_wide_image_takes_few_times_its_own_memory():
    picture = Image.new("I;16", (3000, 3000), 9)
    tracemalloc.start()
    to_rgb(picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # 216 MB for three copies in float64


def test_large_images_are_checked_one_at_a_time(monkeypatch, picture):
    monkeypatch.setattr(image_checks, "_MANY_PIXELS", 50)
    at_once, most = [], []

    def convert(image):
        at_once.append(image)
        most.append(len(at_once))
        time.sleep(0.02)
        at_once.pop()
        return image

    monkeypatch.setattr(image_checks, "to_rgb", convert)
    content = encoded(picture())
    with ThreadPoolExecutor(4) as pool:
        assert not any(check.problem for check in pool.map(check_image, [content] * 4))
    assert most == [1] * 4


def test_a_file_that_is_larger_than_any_image_is_not_read(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(8 * 2**30)  # sparse
    (image,) = check_files(tmp_path, ["a.jpg"], None)
    assert image.check.problem.startswith("cannot be read: 8,589,934,592 bytes, more than")
    with pytest.raises(DataError, match=r"'a\.jpg' cannot be read \(8,589,934,592 bytes, more"):
        image.load()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("grey", [0, 64, 200, 255])
def test_brightness(form, grey):
    content = encoded(Image.new("RGB", (100, 80), (grey,) * 3), form)
    assert check_image(content).brightness == pytest.approx(grey / 255, abs=0.01)


def test_a_file_that_vanished_is_named(tmp_path, picture):
    gone = CheckedImage("row 7", check_image(encoded(picture())), (tmp_path / "b.png").read_bytes)
    with pytest.raises(DataError, match=r"'row 7' cannot be read \(No such file"):
        gone.load()


def test_file_and_bytes_are_the_same_image(tmp_path, picture):
    content = encoded(picture())
    (tmp_path / "a.png").write_bytes(content)
    (one,) = check_files(tmp_path, ["a.png"], None)
    other = CheckedImage("row 1", check_image(content), lambda: content)
    assert one.digest == other.digest
    assert one.brightness == other.brightness
    assert one.load().tobytes() == other.load().tobytes()

"""Every kind of file becomes an upright image of eight bits and three channels, or one message that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.images.decoding import decode, measure

from .support import pixels, write_image

RAMP = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)


def decoded(path: Path) -> np.ndarray:
    image = decode(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_color_stays_bit_for_bit_and_channels_in_order(tmp_path: Path) -> None:
    assert np.array_equal(decoded(write_image(tmp_path / "a.png", 1)), pixels(1))
    red = np.zeros((4, 4, 3), dtype=np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(tmp_path / "red.png")
    assert decoded(tmp_path / "red.png")[0, 0].tolist() == [255, 0, 0]


def test_gray_is_repeated_on_three_channels(tmp_path: Path) -> None:
    gray = pixels(2)[..., 0]
    Image.fromarray(gray).save(tmp_path / "gray.png")
    assert np.array_equal(decoded(tmp_path / "gray.png"), np.repeat(gray[..., None], 3, axis=-1))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path, suffix: str) -> None:
    """PIL's own conversion would make everything above 255 white."""
    Image.fromarray(RAMP).save(tmp_path / f"deep.{suffix}")
    assert np.array_equal(decoded(tmp_path / f"deep.{suffix}")[..., 0], (RAMP >> 8).astype(np.uint8))


def test_cmyk_is_converted(tmp_path: Path) -> None:
    Image.fromarray(pixels(3, 32, 32)).convert("CMYK").save(tmp_path / "ink.jpg", quality=95)
    assert np.abs(decoded(tmp_path / "ink.jpg").astype(int) - pixels(3, 32, 32)).mean() < 4


@pytest.mark.parametrize("mode", ["P", "1", "L", "YCbCr"])
def test_other_modes_keep_their_picture(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(pixels(4)).convert(mode)
    image.save(tmp_path / "a.tif")
    assert np.abs(decoded(tmp_path / "a.tif").astype(int) - np.asarray(image.convert("RGB"))).mean() < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_white(tmp_path: Path, mode: str) -> None:
    options = {}
    if mode == "P":
        image = Image.new("P", (4, 4), 0)
        image.putpalette([10, 20, 30, 200, 100, 50])
        image.putpixel((1, 0), 1)
        options["transparency"] = 0
    else:
        image = Image.new(mode, (4, 4), (0,) * len(mode))
        image.putpixel((1, 0), (100,) * (len(mode) - 1) + (255,))
    image.save(tmp_path / "clear.png", **options)
    found = decoded(tmp_path / "clear.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == ([200, 100, 50] if mode == "P" else [100, 100, 100])


@pytest.mark.parametrize(("orientation", "turned"), [(3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1))])
def test_images_are_turned_upright(tmp_path: Path, orientation: int, turned: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels(5)).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(decoded(tmp_path / "turned.png"), turned(pixels(5)))


def test_bytes_are_as_good_as_a_file(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png", 6)
    assert np.array_equal(np.asarray(decode(path.read_bytes(), "row 6")), pixels(6))
    with pytest.raises(DataError, match="^row 6: no image that can be decoded"):
        decode(b"text", "row 6")


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_file_that_was_cut_off_is_seen_by_its_end_and_by_decoding(tmp_path: Path, suffix: str) -> None:
    whole = write_image(tmp_path / f"whole.{suffix}", 7, 96, 64)
    assert measure(whole) == (whole.stat().st_size, 64, 96)
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole.read_bytes()[:-200])
    with pytest.raises(DataError, match="cut off"):
        measure(cut)
    with pytest.raises(DataError, match=rf"^{cut}: no image that can be decoded"):
        decode(cut)


def test_damage_inside_is_seen_by_decoding_alone(tmp_path: Path) -> None:
    content = bytearray(write_image(tmp_path / "a.png", 8, 64, 64).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    measure(tmp_path / "a.png")
    with pytest.raises(DataError, match="no image that can be decoded"):
        decode(tmp_path / "a.png")


def test_floats_of_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float.tif: 32-bit floats whose range"):
        decode(tmp_path / "float.tif")

"""Odd metadata, trailers, modes, names and layouts: pixels decide, and names are bytes."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep.api import DataError, prepare
from data_prep.images.decoding import decode, measure
from data_prep.images.index import ImageSplit, class_names

from .support import pixels

WIDTH, HEIGHT = 12, 8
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # bytes of EXIF's types


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(3, HEIGHT, WIDTH)).save(file, "JPEG")
    return file.getvalue()


def with_exif(content: bytes, tag: int, kind: int, orientation: int = 6) -> bytes:
    """A JPEG with one odd entry and an orientation."""
    size = SIZES[kind]
    odd = struct.pack("<HHI", tag, kind, 1) + (struct.pack("<I", 38) if size > 4 else b"\1\0\0\0")
    entries = sorted([odd, struct.pack("<HHI", 0x0112, 3, 1) + struct.pack("<HH", orientation, 0)])
    ifd = struct.pack("<H", 2) + b"".join(entries) + b"\0" * 4
    exif = b"Exif\0\0" + b"II*\0\x08\0\0\0" + ifd + b"\1\0\0\0\1\0\0\0"
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("tag", [0x010F, 0x0110, 0x0132, 0x8769, 0x8825, 0xA005, 0x927C, 0x011A, 0x0128, 0xC4A5])
def test_no_tag_but_the_orientation_matters(tag: int, kind: int) -> None:
    content = jpeg()
    found = decode(with_exif(content, tag, kind))
    plain, upright = decode(content), decode(content).transpose(Image.Transpose.ROTATE_270)
    assert found.size in (plain.size, upright.size)
    assert np.array_equal(np.asarray(found), np.asarray(upright if found.size == upright.size else plain))


def test_data_behind_a_pictures_end_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    path.write_bytes(jpeg() + b"MotionPhoto_Data" + b"\0" * (1 << 17))
    assert measure(path)[1:] == (WIDTH, HEIGHT)
    path.write_bytes(jpeg()[:-40] + b"\0" * 10)
    with pytest.raises(DataError, match="cut off"):
        measure(path)


@pytest.mark.parametrize(("kind", "name"), [(np.int32, "32-bit integers"), (np.float32, "32-bit floats")])
def test_values_without_a_known_range_are_refused_at_preparation(tmp_path: Path, kind: type, name: str) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.arange(96).reshape(8, 12).astype(kind)).save(path)
    with pytest.raises(DataError, match=name):
        measure(path)
    with pytest.raises(DataError, match=name):
        decode(path)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray((np.arange(96).reshape(8, 12) * 600).astype(np.uint16)).save(path)
    assert np.array_equal(np.asarray(decode(path))[..., 0], (np.arange(96).reshape(8, 12) * 600) >> 8)


def _folder(root: Path, classes: tuple[bytes, bytes], held_out: tuple[bytes, bytes] | None = None) -> Path:
    for split, names in (("train", classes), ("val", held_out or classes)):
        for name in names:
            folder = os.path.join(os.fsencode(root), split.encode(), name)
            os.makedirs(folder)
            for number in range(2):
                with open(os.path.join(folder, b"caf\xe9 %d.jpg" % number), "wb") as file:
                    file.write(jpeg())
    return root


@pytest.mark.parametrize("name", [b"caf\xe9", "a\u2028b".encode(), b"two\nlines", "Tōkyō".encode()])
def test_names_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    source = _folder(tmp_path / os.fsdecode(b"s\xe9"), (name, b"z"))
    folder = prepare("imagenet", tmp_path / "out", source, allow_other_counts=True)
    assert class_names(folder) == [os.fsdecode(name), "z"]
    assert ImageSplit(folder, "train").image(0).size == (WIDTH, HEIGHT)


def test_composed_and_decomposed_names_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é").encode() for form in ("NFC", "NFD"))
    source = _folder(tmp_path / "s", (composed, b"z"), (decomposed, b"z"))
    folder = prepare("imagenet", tmp_path / "out", source, allow_other_counts=True)
    assert ImageSplit(folder, "valid").labels.tolist() == ImageSplit(folder, "train").labels.tolist()
    assert class_names(folder) == ["z", "é"]


def test_the_layout_of_tiny_imagenet(tmp_path: Path) -> None:
    lines = []
    for number, name in enumerate(("n01443537", "n01629819")):
        folder = tmp_path / "s" / "train" / name / "images"
        folder.mkdir(parents=True)
        (folder.parent / f"{name}_boxes.txt").write_text("0 0 1 1")
        (folder / f"{name}_0.JPEG").write_bytes(jpeg())
        lines.append(f"val_{number}.JPEG\t{name}\t0\t0\t62\t62\n")
    held_out = tmp_path / "s" / "val" / "images"
    held_out.mkdir(parents=True)
    for number in range(2):
        (held_out / f"val_{number}.JPEG").write_bytes(jpeg())
    (held_out.parent / "val_annotations.txt").write_text("".join(lines))
    folder = prepare("imagenet", tmp_path / "out", tmp_path / "s", allow_other_counts=True)
    assert class_names(folder) == ["n01443537", "n01629819"]
    assert ImageSplit(folder, "train").labels.tolist() == ImageSplit(folder, "valid").labels.tolist() == [0, 1]

"""The embedded images: scikit-learn's 1,797 scanned digits of 8 x 8 pixels (UCI, Alpaydin & Kaynak 1998)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from data_prep.core.dataset import DataSet
from data_prep.core.errors import DataError
from data_prep.core.request import Request
from data_prep.images.index import Entry, crc32_of
from data_prep.images.preparation import RULES as IMAGE_RULES
from data_prep.images.preparation import ImageCorpus
from data_prep.images.source import Corrupt

# Of the hundred values that an image's pixels can draw; 40 in a hundred are held out, since the set is small.
VALID, TEST = range(20), range(20, 40)
RULES = {
    **IMAGE_RULES,
    "pixels": "gray from 0 to 16, times 15",
    "splits": f"by image: SHA-256 of its pixels modulo 100; {VALID.start} to {VALID.stop - 1} valid, {TEST.start} to "
    f"{TEST.stop - 1} test, others train; equal images share a split",
}


def split_of(pixels: np.ndarray) -> str:
    """The split of an image UInt8[8 8], the same on every machine."""
    draw = int.from_bytes(hashlib.sha256(pixels.tobytes()).digest()) % 100
    return "test" if draw in TEST else "valid" if draw in VALID else "train"


class Digits:
    """scikit-learn's digits, held in memory: some hundred kilobytes."""

    column = "image"
    classes = [str(digit) for digit in range(10)]  # noqa: RUF012 - never changed
    splits: tuple[str, ...] = ("train", "valid", "test")

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        loaded: Any = load_digits()  # a Bunch, whatever its annotation says
        self._images = (loaded.images * 15).astype(np.uint8)
        self._labels = loaded.target
        self._splits = [split_of(image) for image in self._images]

    def blocks(self, split: str) -> Iterator[list[Entry | Corrupt]]:
        yield [
            _entry(image, int(label))
            for image, label, where in zip(self._images, self._labels, self._splits, strict=True)
            if where == split
        ]

    def label(self, split: str) -> str:
        return f"scikit-learn's digits ({split})"

    def size(self) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"kind": "embedded", "id": "sklearn.datasets.load_digits", "revision": None}


def _entry(image: np.ndarray, label: int) -> Entry:
    png = _png(image)
    content = hashlib.sha256(image.tobytes()).hexdigest()
    return Entry(label, 8, 8, len(png), crc32_of(png, label), image=png, content=content)


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def corpus(request: Request) -> ImageCorpus:
    """The digits.

    Raises:
        DataError: a source or revision was asked for.
    """
    for option in ("source", "revision"):
        if getattr(request, option) is not None:
            raise DataError(f"digits is embedded: it takes no {option}")
    return ImageCorpus(Digits(), RULES)


DATA_SETS = {"digits": DataSet(RULES, corpus)}

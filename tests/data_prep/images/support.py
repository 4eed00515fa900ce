"""Small folders of images, whose pixels say which class and image they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("n00000001", "n00000002", "n00000003")


def pixels(seed: int, height: int = 12, width: int = 16) -> np.ndarray:
    """UInt8[height width 3], smooth enough to survive JPEG."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (3, 3, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))


def write_image(path: Path, seed: int = 0, height: int = 12, width: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, height, width)).save(path)
    return path


def write_folder(root: Path, train: int = 3, valid: int = 2, *, held_out: str = "val") -> Path:
    """``train/<class>/*.png`` and ``<held_out>/<class>/*.png``."""
    for split, count in (("train", train), (held_out, valid)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                seed = 100 * label + number + (50 if split != "train" else 0)
                write_image(root / split / name / f"{number:03d}.png", seed)
    return root

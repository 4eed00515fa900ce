"""Makes timm's RandAugment work with Pillow 13; does nothing where it works already.

At its full magnitude timm's ``PosterizeIncreasing`` (the ``inc1`` of DeiT's policy) keeps 0 bits of every pixel: a
black image. Pillow refuses 0 bits since version 13, so that a training run would end at the first such draw, after
some hundred images. Here 0 bits mean what they meant to Pillow before.
"""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageOps


def install() -> None:
    """Let timm's posterizing operations keep 0 bits, if Pillow does not."""
    from timm.data import auto_augment

    try:
        ImageOps.posterize(Image.new("RGB", (1, 1)), 0)
    except ValueError:
        for name in [name for name in auto_augment.NAME_TO_OP if name.startswith("Posterize")]:
            auto_augment.NAME_TO_OP[name] = posterize


def posterize(image: Image.Image, bits_to_keep: int, **_: Any) -> Image.Image:
    """The image with ``bits_to_keep`` bits of each channel, 0 to 8."""
    if bits_to_keep >= 8:
        return image
    return ImageOps.posterize(image, bits_to_keep) if bits_to_keep > 0 else Image.new(image.mode, image.size)

"""From a file of any format to an upright image of eight bits and three channels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from data_prep.core.errors import DataError

TAIL = 1 << 16  # cameras and editors append data of their own behind a picture's end
# Formats that end with a mark, whose absence means that the file was cut off.
ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}


def decode(source: Path | bytes, name: str | None = None) -> Image.Image:
    """The image of a file or of its bytes, ready for eight-bit transforms.

    Turned upright by its EXIF orientation; 16-bit gray scaled to 8 bits (PIL's own conversion would cut everything
    above 255 to white); transparency laid on white; gray, palette and CMYK converted.

    Args:
        source: path, or an encoded image.
        name: what to call it in messages; the path by default.

    Raises:
        DataError: it cannot be decoded; the message names the file.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except DataError as error:
        raise DataError(f"{name or source}: {error}") from None
    except Exception as error:  # PIL's plugins raise almost anything for damaged files
        raise DataError(f"{name or source}: no image that can be decoded ({reason(error)})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Eight bits, three channels.

    Raises:
        DataError: a mode whose range of values is not known (32-bit floats).
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise DataError("32-bit gray whose range of values is not known: convert it to 8 or 16 bits")
        image = Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise DataError("32-bit floats whose range of values is not known: convert it to 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def measure(path: Path) -> tuple[int, int, int]:
    """Bytes, width and height, from the header alone; and whether the file's end is there.

    Raises:
        DataError: no image, or one that was cut off; the message is the fault without the path.
    """
    try:
        size = path.stat().st_size
        with Image.open(path) as image:
            width, height = image.size
            mark = ENDS.get(image.format or "")
        if mark:
            with path.open("rb") as file:
                file.seek(max(0, size - TAIL))
                if mark not in file.read():
                    raise DataError("cut off: its end mark is missing")
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"not an image ({reason(error)})" if size_of(path) else "empty") from None
    return size, width, height


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def reason(error: Exception) -> str:
    """The first line of an error, for the end of a message."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text if len(text) < 120 else f"{text[:117]}..."

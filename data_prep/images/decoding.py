"""From a file of any format to an upright image of eight bits and three channels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.core.errors import DataError

# Formats that end with a mark. A file that ends otherwise was cut off, or has data of a camera or an editor behind it.
ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b"\x3b"}
ORIENTATION = 0x0112  # EXIF's tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNKNOWN_RANGE = "whose range of values is not known: convert it to 8 or 16 bits"


def decode(source: Path | bytes, name: str | None = None) -> Image.Image:
    """The image of a file or of its bytes, ready for eight-bit transforms.

    Rotated upright by its EXIF orientation, where that can be read; 16-bit gray scaled to 8 bits (PIL's own conversion
    would cut everything above 255 to white); transparency laid on white; gray, palette and CMYK converted.

    Args:
        source: path, or an encoded image.
        name: what to call it in messages; the path by default.

    Raises:
        DataError: it cannot be decoded; the message names the file.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.load()
            return upright(to_rgb(image), orientation(image))
    except DataError as error:
        raise DataError(f"{name or source}: {error}") from None
    except Exception as error:  # PIL's plugins raise almost anything for damaged files
        raise DataError(f"{name or source}: no image that can be decoded ({reason(error)})") from error


def orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 (as it is) where there is none or it cannot be read.

    No other tag is looked at: metadata never decides whether pixels can be read.
    """
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # PIL raises almost anything for damaged metadata
        return 1
    return found if isinstance(found, int) and found in UPRIGHT else 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """The image rotated and mirrored as its EXIF orientation ``turned`` says."""
    return image.transpose(UPRIGHT[turned]) if turned in UPRIGHT else image


def refuse_unknown_range(image: Image.Image) -> None:
    """Refuse modes whose values have no known range: 32-bit integers and floats.

    Netpbm's are read as 32-bit integers and scaled to 16 bits.

    Raises:
        DataError: the message is the fault.
    """
    if image.mode == "F":
        raise DataError(f"32-bit floats {UNKNOWN_RANGE}")
    if image.mode == "I" and image.format != "PPM":
        raise DataError(f"32-bit integers {UNKNOWN_RANGE}")


def to_rgb(image: Image.Image) -> Image.Image:
    """Eight bits, three channels.

    Raises:
        DataError: a mode whose range of values is not known.
    """
    refuse_unknown_range(image)
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def measure(path: Path) -> tuple[int, int, int]:
    """Bytes, width and height, from the header; the pixels are decoded only where the file's end is not the format's.

    Raises:
        DataError: no image, one that was cut off, or of a mode that is not supported; the message is the fault without
            the path.
    """
    size = size_of(path)
    try:
        with Image.open(path) as image:
            width, height = image.size
            mark = ENDS.get(image.format or "")
            refuse_unknown_range(image)
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"not an image ({reason(error)})" if size else "empty") from None
    if mark:
        with path.open("rb") as file:
            file.seek(max(0, size - len(mark)))
            whole = file.read() == mark
        if not whole:
            _refuse_cut_off(path, mark)
    return size, width, height


def _refuse_cut_off(path: Path, mark: bytes) -> None:
    if mark not in path.read_bytes():
        raise DataError("cut off: its end mark is missing")
    try:
        with Image.open(path) as image:
            image.load()
    except Exception as error:
        raise DataError(f"cut off or damaged ({reason(error)})") from None


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

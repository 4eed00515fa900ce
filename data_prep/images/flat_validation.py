"""Class by file name for ILSVRC's flat folder of 50,000 validation images.

Formats of the mapping file, told apart by their first line:

- ``ILSVRC2012_val_00000001.JPEG n01751748`` or ``... 65`` (number of the class by sorted wnid): one line per image
- ``n01751748``: one line per image, in the order of the file names
- ``ImageId,PredictionString`` and lines such as ``ILSVRC2012_val_00048981,n03995372 85 1 499 272``: Kaggle's
- ``490``: the development kit's ``ILSVRC2012_validation_ground_truth.txt``, numbers of its own, which ``meta.mat``
  beside it explains
"""

from __future__ import annotations

import re
from pathlib import Path

from data_prep.core.errors import DataError

WNID = re.compile(r"n\d{8}")


def validation_labels(path: Path, images: list[str], classes: list[str]) -> dict[str, str]:
    """The class of each file name.

    Args:
        path: of the mapping file.
        images: the names of the flat folder's files, sorted.
        classes: names of train's classes, sorted.

    Raises:
        DataError: the file cannot be read, is of none of the formats, or does not fit the folder.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not lines:
        raise DataError(f"{path} is empty: expected a line for each validation image")
    first = re.split(r"[\s,]+", lines[0])
    if first[0] == "ImageId":
        pairs = [_kaggle(path, number, line) for number, line in enumerate(lines[1:], start=2)]
    elif len(first) == 2:
        pairs = [_named(path, number, line, classes) for number, line in enumerate(lines, start=1)]
    elif len(first) == 1 and (WNID.fullmatch(first[0]) or first[0] in classes or first[0].isdecimal()):
        names = _development_kit(path, lines) if first[0].isdecimal() else lines
        if len(names) != len(images):
            raise DataError(
                f"{path} has {len(names):,} lines and the folder {len(images):,} images: one a line expected"
            )
        pairs = list(zip(images, names, strict=True))
    else:
        raise DataError(
            f"{path}, line 1: {lines[0][:60]!r} is of none of the formats in data_prep/images/flat_validation.py"
        )
    return dict(pairs)


def _kaggle(path: Path, number: int, line: str) -> tuple[str, str]:
    name, comma, rest = line.partition(",")
    if not comma or not rest.split():
        raise DataError(f"{path}, line {number}: expected ImageId,<wnid> ..., found {line[:60]!r}")
    return f"{name}.JPEG", rest.split()[0]


def _named(path: Path, number: int, line: str, classes: list[str]) -> tuple[str, str]:
    parts = re.split(r"[\s,]+", line)
    if len(parts) != 2:
        raise DataError(f"{path}, line {number}: expected a file name and its class, found {line[:60]!r}")
    name, label = parts
    if label.isdecimal() and label not in classes:
        if int(label) >= len(classes):
            raise DataError(f"{path}, line {number}: class {label} of {len(classes)}, numbered from 0")
        label = classes[int(label)]
    return name.rpartition("/")[2], label


def _development_kit(path: Path, lines: list[str]) -> list[str]:
    meta = path.parent / "meta.mat"
    if not meta.is_file():
        raise DataError(
            f"{path} numbers the classes as ILSVRC's development kit does, which its meta.mat explains: put "
            f"{meta.name} beside it (ILSVRC2012_devkit_t12/data has both)"
        )
    from scipy.io import loadmat  # seconds to import, and needed for this format only

    synsets = loadmat(meta, squeeze_me=True)["synsets"]
    wnid_of = {str(int(row[0])): str(row[1]) for row in synsets}
    unknown = next((line for line in lines if line not in wnid_of), None)
    if unknown is not None:
        raise DataError(f"{path}: {meta} has no class {unknown}")
    return [wnid_of[line] for line in lines]

"""Images that nobody has prepared: a folder to try a trained model on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.core.errors import DataError, nearest
from data_prep.images.decoding import decode
from data_prep.images.folder import class_of, files, folders, pictures

UNKNOWN = -1


class LooseImages:
    """The images of a folder, in folders of their classes or without classes; as :class:`ImageSplit` otherwise.

    Args:
        root: ``<class>/*``, or images alone.
        classes: names by number.

    Raises:
        DataError: there is no such folder or no image in it, or a folder in it is none of the classes.
    """

    def __init__(self, root: Path, classes: Sequence[str]) -> None:
        if not root.is_dir():
            raise DataError(f"no folder {root}")
        self.classes = list(classes)
        numbers = {name: number for number, name in enumerate(classes)}
        found: list[tuple[Path, int]] = []
        for folder in sorted(folders(root), key=class_of):
            if class_of(folder) not in numbers:
                hint = nearest(folder.name, classes)
                raise DataError(f"{folder} is named like none of the {len(classes)} classes{hint}")
            found += [(path, numbers[class_of(folder)]) for path in pictures(folder)]
        if not found:
            found = [(path, UNKNOWN) for path in files(root)]
        if not found:
            raise DataError(f"{root} holds no images: expected <class>/<image> or images alone")
        self._paths = [path for path, _ in found]
        self.labels = np.array([label for _, label in found], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, index: int) -> str:
        """The path of an image."""
        return str(self._paths[index])

    def image(self, index: int) -> Image.Image:
        """The image, decoded, upright, RGB.

        Raises:
            DataError: it cannot be decoded; the message names the file.
        """
        return decode(self._paths[index])

"""The prepared form of a split: an Arrow file, mapped from disk, one row an image.

Columns: ``label`` (number of the class), ``width``, ``height``, ``bytes``; ``crc32`` of the label and the encoded
image, so that a change of either is seen when it is loaded; and either ``path`` (below the root that the manifest
names: the images stay where they are) or ``image`` (the encoded image itself).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.manifest import load_manifest
from data_prep.images.decoding import decode

COMMON = [
    ("label", pa.int32()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("bytes", pa.int64()),
    ("crc32", pa.uint32()),
]
CLASSES = "classes.json"  # JSON, since a folder may be called by a name with any sign in it
SCHEMAS = {
    "path": pa.schema([*COMMON, ("path", pa.binary())]),
    "image": pa.schema([*COMMON, ("image", pa.binary())]),
}


@dataclass(frozen=True)
class Entry:
    """One image: where it lies (``path`` below the source's root, with ``/``), or its encoded bytes (``image``).

    ``content`` identifies an image that was encoded here, since encoders differ between versions.
    """

    label: int
    width: int
    height: int
    bytes: int
    crc32: int
    path: str | None = None
    image: bytes | None = None
    content: str | None = None


def crc32_of(image: bytes, label: int) -> int:
    """The checksum of an encoded image together with its label."""
    return zlib.crc32(image, label)


class IndexWriter:
    """Append entries, some at a time, to ``<split>.arrow``.

    Args:
        path: of the file.
        column: ``path`` or ``image``, which the entries have.
    """

    def __init__(self, path: Path, column: str) -> None:
        self._schema = SCHEMAS[column]
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._sink, self._schema)

    def add(self, entries: Sequence[Entry]) -> None:
        columns = {name: [getattr(entry, name) for entry in entries] for name in self._schema.names}
        if "path" in columns:  # a file's name is bytes, of whatever encoding
            columns["path"] = [os.fsencode(path) for path in columns["path"]]
        self._writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=self._schema))

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._sink.close()


class ImageSplit:
    """A prepared split: labels at once, images one at a time. Nothing is held in memory but the labels.

    Args:
        folder: a prepared folder.
        split: train, valid or test, as far as the data set has it.

    Raises:
        DataError: the folder is not prepared, has no such split, or its images are no longer where they were.
    """

    def __init__(self, folder: Path | str, split: str) -> None:
        self.folder, self.split = Path(folder), split
        manifest = load_manifest(folder)
        if manifest.get("kind") != "images" or split not in manifest["splits"]:
            found = ", ".join(manifest["splits"])
            raise DataError(f"{folder} has no images for the split {split!r}: it has {found}")
        self.classes: list[str] = class_names(self.folder)
        self.root: Path | None = None
        if manifest["source"]["kind"] == "folder":
            self.root = Path(manifest["source"]["root"])
            if not self.root.is_dir():
                raise DataError(
                    f"the images of {folder} are no longer in {self.root}: index them again with "
                    f"python -m data_prep.{manifest['name']} --source DIR --force"
                )
        self._open()
        self.labels: np.ndarray = self._table["label"].to_numpy().astype(np.int64)

    def _open(self) -> None:
        path = self.folder / f"{self.split}.arrow"
        try:
            self._table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"cannot read {path}: {error}; prepare the data again with --force") from error
        column = "image" if self.root is None else "path"
        if self._table.schema != SCHEMAS[column]:
            raise DataError(f"{path} was written by an earlier version; prepare the data again with --force")

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """What to call an image in a message: its path, or its number."""
        if self.root is None:
            return f"image {index} of {self.folder / self.split}.arrow"
        return str(self.root / os.fsdecode(self._table["path"][index].as_py()))

    def image(self, index: int) -> Image.Image:
        """The image, decoded, upright, RGB.

        Raises:
            DataError: it cannot be decoded; the message names the file and what to do.
        """
        name = self.name(index)
        try:
            return decode(self._content(index, name), name)
        except DataError as error:
            raise DataError(
                f"{error}. To leave such images out: prepare with --decode --skip-corrupt --force"
            ) from None

    def _content(self, index: int, name: str) -> bytes:
        """The encoded image, as it was when it was prepared."""
        if self.root is None:
            content = self._table["image"][index].as_py()
        else:
            try:
                content = Path(name).read_bytes()
            except OSError as error:
                raise DataError(f"cannot read {name}: {error.strerror}") from None
        if crc32_of(content, int(self.labels[index])) != self._table["crc32"][index].as_py():
            raise DataError(f"{name} is not what it was when {self.folder} was prepared (its checksum differs)")
        return content

    def __getstate__(self) -> dict[str, Any]:
        # A worker process that is not forked maps the file itself instead of receiving a copy.
        return {key: value for key, value in self.__dict__.items() if key != "_table"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()


def class_names(folder: Path) -> list[str]:
    """The names of the classes by number.

    Raises:
        DataError: the file is missing.
    """
    try:
        return json.loads((folder / CLASSES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {folder / CLASSES}: {error}; prepare the data again with --force") from error

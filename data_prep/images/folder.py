"""A folder of images in one's own hands: ``train/<class>/*`` and ``val/<class>/*``, indexed and never copied."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.images.decoding import decode, measure
from data_prep.images.index import Entry, crc32_of
from data_prep.images.source import Corrupt

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test")
BLOCK = 512
THREADS = 8  # a header is a small read, which waits for the disk or the network
NO_IMAGES = ("Thumbs.db", "desktop.ini")  # what desktops leave behind; names with a leading dot are left out too


class ImageFolder:
    """One folder a class below a folder a split; classes are numbered in the order of their names.

    Args:
        root: holds ``train`` and ``val`` (or valid, validation, test).
        labels: of a flat folder of validation images: class by file name.
        validate_on_train: there is no held-out folder; the training images serve for both (to see a model overfit).
        allow_missing_classes: the held-out folder may lack classes of train.
        decode: decode every image to find damage that a header does not show.

    Raises:
        DataError: a folder is missing or empty, or the classes of the two do not fit.
    """

    column = "path"
    splits = ("train", "valid")

    def __init__(
        self,
        root: Path,
        *,
        labels: Mapping[str, str] | None = None,
        validate_on_train: bool = False,
        allow_missing_classes: bool = False,
        decode: bool = False,
    ) -> None:
        self.root, self.decode = root.absolute(), decode
        if not root.is_dir():
            raise DataError(f"no folder {root}: --source names a folder that holds train/<class>/ and val/<class>/")
        train = find(root, TRAIN)
        if train is None and validate_on_train:
            train = root
        if train is None:
            found = ", ".join(sorted(path.name for path in root.iterdir())[:5]) or "nothing"
            raise DataError(
                f"{root} holds no folder train (it holds {found}); expected train/<class>/ and val/<class>/"
            )
        self.classes = sorted(path.name for path in folders(train))
        if not self.classes:
            raise DataError(f"{train} holds no folders: expected one for each class")
        self.folders = {"train": train, "valid": train}
        self.labels: Mapping[str, str] | None = None
        if not validate_on_train:
            self._find_held_out(labels, allow_missing_classes)

    def _find_held_out(self, labels: Mapping[str, str] | None, allow_missing_classes: bool) -> None:
        held_out = find(self.root, HELD_OUT)
        if held_out is None:
            raise DataError(
                f"{self.root} holds no folder {', '.join(HELD_OUT[:-1])} or {HELD_OUT[-1]}: expected <one of them>/"
                "<class>/. --validate-on-train does without, and shows how a model overfits"
            )
        self.folders["valid"] = held_out
        if any(folders(held_out)):
            present, what = {path.name for path in folders(held_out)}, f"{held_out} has a folder"
        elif labels is None:
            raise DataError(
                f"{held_out} has no folders of classes. For the flat ILSVRC validation images, give the mapping file "
                "with --validation-labels FILE (data_prep/images/flat_validation.py lists the formats)"
            )
        else:
            self.labels = labels
            present, what = set(labels.values()), "--validation-labels has a class"
        if strange := sorted(present - set(self.classes)):
            raise DataError(f"{what} {strange[0]!r} that {self.folders['train']} does not have")
        missing = sorted(set(self.classes) - present)
        if missing and not allow_missing_classes:
            raise DataError(
                f"{held_out} lacks {len(missing)} of the {len(self.classes)} classes of train, e.g. {missing[0]!r}: "
                "the copy is incomplete. --allow-missing-classes accepts it, as data of another identity"
            )

    def blocks(self, split: str) -> Iterator[list[Entry | Corrupt]]:
        found = self._files(split)
        with ThreadPoolExecutor(THREADS) as pool:
            while part := list(islice(found, BLOCK)):
                yield list(pool.map(self._examine, part))

    def _files(self, split: str) -> Iterator[tuple[Path, int]]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        if split == "valid" and self.labels is not None:
            for path in files(self.folders[split]):
                if path.name not in self.labels:
                    raise DataError(f"--validation-labels has no class for {path}")
                yield path, numbers[self.labels[path.name]]
            return
        for folder in sorted(folders(self.folders[split]), key=lambda path: path.name):
            for path in files(folder):
                yield path, numbers[folder.name]

    def _examine(self, found: tuple[Path, int]) -> Entry | Corrupt:
        path, label = found
        try:
            size, width, height = measure(path)
            content = path.read_bytes()
            if self.decode:
                decode(content, str(path))
        except DataError as error:
            return Corrupt(str(path), str(error).removeprefix(f"{path}: "))
        except OSError as error:
            return Corrupt(str(path), f"cannot be read ({error.strerror})")
        place = path.relative_to(self.root).as_posix()
        return Entry(label, width, height, size, crc32_of(content, label), path=place)

    def label(self, split: str) -> str:
        return str(self.folders[split])

    def size(self) -> int:
        return 0

    def describe(self) -> dict[str, Any]:
        return {"kind": "folder", "id": None, "revision": None, "root": str(self.root)}


def find(root: Path, names: tuple[str, ...]) -> Path | None:
    """The first of ``names`` that is a folder in ``root``."""
    return next((root / name for name in names if (root / name).is_dir()), None)


def folders(root: Path) -> list[Path]:
    """Folders in ``root``, hidden ones left out."""
    with os.scandir(root) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith(".")]


def files(folder: Path) -> list[Path]:
    """Files in ``folder``, by name; hidden ones left out."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.is_file() and not entry.name.startswith(".") and entry.name not in NO_IMAGES
        ]
    return [folder / name for name in sorted(names)]

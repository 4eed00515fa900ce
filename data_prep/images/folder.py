"""A folder of images in one's own hands: ``train/<class>/*`` and ``val/<class>/*``, indexed and never copied."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError
from data_prep.core.request import Request
from data_prep.images.decoding import decode, measure
from data_prep.images.index import Entry, crc32_of
from data_prep.images.source import Corrupt

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test")
BLOCK = 512
THREADS = 8  # a header is a small read, which waits for the disk or the network
# Tiny-ImageNet's layout: train/<class>/images/*, val/images/* and val/val_annotations.txt.
INNER, ANNOTATIONS = "images", "val_annotations.txt"
NO_IMAGES = ("Thumbs.db", "desktop.ini")  # what desktops leave behind; names with a leading dot are left out too


class ImageFolder:
    """One folder per class below one folder per split; classes are numbered in the order of their names.

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
    splits: tuple[str, ...] = ("train", "valid")

    @classmethod
    def of(cls, root: Path, request: Request, labels: Mapping[str, str] | None = None) -> ImageFolder:
        """The folder ``root``, read as a caller asks for."""
        return cls(
            root,
            labels=labels,
            validate_on_train=request.validate_on_train,
            allow_missing_classes=request.allow_missing_classes,
            decode=request.decode,
        )

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
        self.classes = sorted(class_of(path) for path in folders(train))
        double = next((name for name, after in pairwise(self.classes) if name == after), None)
        if double is not None:
            raise DataError(f"{train} has two folders {double!r}, which differ in their Unicode normalization only")
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
        annotated = held_out / ANNOTATIONS
        if labels is None and annotated.is_file() and (held_out / INNER).is_dir():
            self.folders["valid"], labels = held_out / INNER, _annotations(annotated)
        if labels is None and any(folders(held_out)):
            present, what = {class_of(path) for path in folders(held_out)}, f"{held_out} has a folder"
        elif labels is None:
            raise DataError(
                f"{held_out} has no folders of classes. For the flat ILSVRC validation images, give the mapping file "
                "with --validation-labels FILE (data_prep/images/flat_validation.py lists the formats)"
            )
        else:
            self.labels = {normalized(name): normalized(label) for name, label in labels.items()}
            known = f"{annotated} has a class" if annotated.is_file() else "--validation-labels has a class"
            present, what = set(self.labels.values()), known
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
                if (name := normalized(path.name)) not in self.labels:
                    raise DataError(f"--validation-labels has no class for {path}")
                yield path, numbers[self.labels[name]]
            return
        for folder in sorted(folders(self.folders[split]), key=class_of):
            for path in pictures(folder):
                yield path, numbers[class_of(folder)]

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


def normalized(name: str) -> str:
    """A name in Unicode's composed form (NFC): file systems and archives differ in which form they keep."""
    return unicodedata.normalize("NFC", name)


def class_of(folder: Path) -> str:
    """The class that a folder is named after."""
    return normalized(folder.name)


def pictures(folder: Path) -> list[Path]:
    """The images of a class: the files in its folder, or in ``images`` there if nothing but text lies beside it."""
    inner = folder / INNER
    if inner.is_dir() and all(path.suffix.lower() == ".txt" for path in files(folder)):
        return files(inner)
    return files(folder)


def _annotations(path: Path) -> dict[str, str]:
    """Class by file name from lines ``val_0.JPEG<tab>n03444034<tab>...``."""
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    labels: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        name, *rest = line.rstrip("\r").split("\t")
        if rest:
            labels[name] = rest[0]
        elif name:
            raise DataError(f"{path}, line {number}: expected a file name, a tab and its class, found {name[:60]!r}")
    return labels


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

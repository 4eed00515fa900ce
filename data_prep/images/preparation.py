"""From a source of images to a prepared folder: examine, verify, index, describe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.manifest import build_manifest, write_manifest
from data_prep.core.progress import Progress
from data_prep.core.request import Request
from data_prep.core.workspace import check_disk
from data_prep.images.index import CLASSES, Entry, IndexWriter
from data_prep.images.source import Corrupt, ImageSource

INDEX_BYTES = 256 << 20
SHOWN = 20
KEPT = 10_000

RULES = {
    "classes": "numbered in the order of their names",
    "decoding": "upright by EXIF; 16-bit gray scaled to 8 bits; transparency on white; RGB",
}


@dataclass(frozen=True)
class PublishedImages:
    """Expected numbers of images by split, and of classes; empty where nothing is published."""

    images: Mapping[str, int] = field(default_factory=dict)
    classes: int | None = None

    def __bool__(self) -> bool:
        return bool(self.images or self.classes)

    def verify(self, label: str, what: str, found: int, expected: int | None) -> None:
        """Refuse a number that is not the published one.

        Raises:
            DataError: names the folder, what was found and what was expected.
        """
        if expected is not None and found != expected:
            raise DataError(
                f"{label} has {found:,} {what} and the published data set has {expected:,}: it is a part of it, "
                "another one, or an incomplete copy. --allow-other-counts prepares it all the same, as data of another "
                "identity"
            )


@dataclass(frozen=True)
class ImageCorpus:
    """All that distinguishes one image data set from another.

    Attributes:
        source: where the images come from.
        rules: how they become tensors, in words, for the manifest. Other rules make prepared data stale.
        published: the counts that the data set must have.
        skip_corrupt: leave damaged images out instead of refusing them.
        notes: further choices that change what is measured; they enter the identity.
    """

    source: ImageSource
    rules: Mapping[str, Any]
    published: PublishedImages = field(default_factory=PublishedImages)
    skip_corrupt: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, source: ImageSource, published: PublishedImages, request: Request) -> ImageCorpus:
        """Photographs, prepared by :data:`RULES` as a caller asks for."""
        notes = {"validated_on": "train"} if request.validate_on_train else {}
        return cls(source, RULES, published, request.skip_corrupt, notes)

    def fill(self, folder: Path, name: str, allow_other_counts: bool = False) -> dict[str, Any]:
        """Write the index, the classes and the manifest into an existing, empty ``folder``.

        Returns:
            The manifest.

        Raises:
            DataError: images are damaged, a split is empty or not the published one, or the disk is too small.
        """
        source = self.source
        check_disk(folder, source.size() + INDEX_BYTES)
        published = PublishedImages() if allow_other_counts else self.published
        published.verify(source.label("train"), "classes", len(source.classes), published.classes)
        digest = hashlib.sha256(json.dumps([source.classes, dict(self.rules)], sort_keys=True).encode())
        splits, corrupt = {}, []
        progress = Progress(name)
        try:
            for split in source.splits:
                splits[split] = self._write_split(folder, split, digest, corrupt, progress)
        finally:
            progress.close()
        if corrupt and not self.skip_corrupt:
            raise DataError(_complaint(corrupt, folder.parent / f"{name}.corrupt.txt"))
        for split, counts in splits.items():
            if not counts["images"]:
                raise DataError(f"{source.label(split)} has no images: the {split} split is empty")
            published.verify(source.label(split), "images", counts["images"], published.images.get(split))
        (folder / CLASSES).write_text(json.dumps(source.classes) + "\n", encoding="utf-8")
        manifest = build_manifest(
            folder,
            name=name,
            counts="none" if not self.published else "other" if allow_other_counts else "published",
            splits=splits,
            source=source.describe(),
            rules=self.rules,
            # Arrow's own bytes differ between its versions: the images count.
            by_checksums=False,
            identified={"images": digest.hexdigest(), "notes": dict(self.notes)},
            described={
                "kind": "images",
                "classes": len(source.classes),
                "skipped": [f"{item.name}: {item.fault}" for item in corrupt][:KEPT],
            },
        )
        write_manifest(folder, manifest)
        return manifest

    def _write_split(
        self, folder: Path, split: str, digest: Any, corrupt: list[Corrupt], progress: Progress
    ) -> dict[str, Any]:
        images = total = 0
        sides = np.zeros(2, dtype=np.int64)
        per_class = np.zeros(len(self.source.classes), dtype=np.int64)
        digest.update(f"\n{split}\n".encode())
        with IndexWriter(folder / f"{split}.arrow", self.source.column) as writer:
            for block in self.source.blocks(split):
                entries = [item for item in block if isinstance(item, Entry)]
                corrupt += [item for item in block if isinstance(item, Corrupt)]
                writer.add(entries)
                for entry in entries:
                    digest.update(_signature(entry))
                    sides += (entry.width, entry.height)
                    total += entry.bytes
                    per_class[entry.label] += 1
                images += len(entries)
                progress.show(f"indexing {split}", images, "images")
        return {
            "images": images,
            "classes": int(np.count_nonzero(per_class)),
            "bytes": total,
            "mean_width": round(float(sides[0]) / max(images, 1), 1),
            "mean_height": round(float(sides[1]) / max(images, 1), 1),
        }


def _signature(entry: Entry) -> bytes:
    """What identifies an image without reading all of it: its place and size, or its bytes where these are kept."""
    content = entry.content or entry.path
    if content is None:
        content = hashlib.sha256(entry.image or b"").hexdigest()
    size = "" if entry.content else entry.bytes
    return f"{entry.label} {entry.width}x{entry.height} {size} {content}\n".encode("utf-8", "surrogateescape")


def _complaint(corrupt: list[Corrupt], report: Path) -> str:
    lines = [f"{item.name}: {item.fault}" for item in corrupt]
    report.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")
    shown = "\n  ".join(lines[:SHOWN])
    more = f"\n  and {len(lines) - SHOWN:,} more" if len(lines) > SHOWN else ""
    return (
        f"{len(lines):,} files are no images or damaged (all listed in {report}):\n  {shown}{more}\n"
        "--skip-corrupt leaves them out"
    )

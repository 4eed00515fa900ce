"""Images from the Hugging Face hub, through ``datasets``: streamed once, kept once, as they were encoded."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

from data_prep.core.errors import DataError
from data_prep.core.hub import require_hub, unreachable
from data_prep.images.decoding import decode, reason
from data_prep.images.index import Entry, crc32_of
from data_prep.images.source import Corrupt

ROWS = 256


class HubImages:
    """A data set of the hub with a column of images and one of labels.

    Args:
        identifier: ``owner/name`` on the hub.
        splits: our splits and the hub's.
        image, label: names of the columns.
        revision: commit, branch or tag.
        instead: what to do without the hub, for messages.
        decode: decode every image to find damage that a header does not show.
        total_bytes: what it holds, for the check of the disk.

    Raises:
        DataError: the hub cannot be reached, does not have the data, or wants a login.
    """

    column = "image"

    def __init__(
        self,
        identifier: str,
        splits: Mapping[str, str],
        *,
        image: str,
        label: str,
        revision: str | None,
        instead: str,
        decode: bool,
        total_bytes: int,
    ) -> None:
        self.identifier, self.revision, self.decode = identifier, revision, decode
        self.splits = tuple(splits)
        self._names, self._image, self._label, self._bytes = dict(splits), image, label, total_bytes
        require_hub(identifier, instead)
        import datasets  # seconds to import, and needed on this path only
        from datasets.exceptions import DatasetsError

        try:
            self._rows = {
                ours: datasets.load_dataset(identifier, split=theirs, revision=revision, streaming=True)
                for ours, theirs in splits.items()
            }
            self._rows = {
                ours: rows.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
                for ours, rows in self._rows.items()
            }
            features = self._rows["train"].features
            self.classes = list(features[label].names) if features else []
        except (OSError, ValueError, RuntimeError, KeyError, DatasetsError) as error:
            raise DataError(unreachable(identifier, reason(error), instead)) from error

    def blocks(self, split: str) -> Iterator[list[Entry | Corrupt]]:
        number = 0
        for batch in self._rows[split].iter(batch_size=ROWS):
            found = []
            for image, label in zip(batch[self._image], batch[self._label], strict=True):
                found.append(self._examine(f"{self.label(split)}, row {number}", image["bytes"], label))
                number += 1
            yield found

    def _examine(self, name: str, image: bytes | None, label: int) -> Entry | Corrupt:
        try:
            with Image.open(io.BytesIO(image or b"")) as opened:
                width, height = opened.size
            if self.decode:
                decode(image or b"", name)
        except DataError as error:
            return Corrupt(name, str(error).removeprefix(f"{name}: "))
        except Exception as error:  # PIL's plugins raise almost anything for damaged files
            return Corrupt(name, f"not an image ({reason(error)})")
        content = image or b""
        return Entry(label, width, height, len(content), crc32_of(content, label), image=content)

    def label(self, split: str) -> str:
        return f"{self.identifier} ({self._names[split]})"

    def size(self) -> int:
        return self._bytes

    def describe(self) -> dict[str, Any]:
        return {"kind": "hub", "id": self.identifier, "revision": self.revision}

"""Where images come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from data_prep.images.index import Entry


@dataclass(frozen=True)
class Corrupt:
    """A file that is no image, or a damaged one."""

    name: str
    fault: str


class ImageSource(Protocol):
    """Splits of labeled images that can be read once.

    Attributes:
        column: ``path`` where images stay where they are, ``image`` where their bytes are to be kept.
        classes: names by number.
        splits: those it has, of train, valid and test.
    """

    column: str
    classes: list[str]
    splits: tuple[str, ...]

    def blocks(self, split: str) -> Iterator[list[Entry | Corrupt]]:
        """The images of ``split`` in a fixed order, some hundreds at a time."""
        ...

    def label(self, split: str) -> str:
        """What to call ``split`` in a message."""
        ...

    def size(self) -> int:
        """Bytes that keeping it needs, an estimate; 0 for an index."""
        ...

    def describe(self) -> dict[str, Any]:
        """The manifest's ``source`` entry."""
        ...

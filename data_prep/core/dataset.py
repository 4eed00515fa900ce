"""What every data set has: the rules that it is prepared by, and its content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from data_prep.core.request import Request


class Content(Protocol):
    """What can be written as a prepared folder."""

    def fill(self, folder: Path, name: str, allow_other_counts: bool) -> object:
        """Write the prepared data into ``folder``."""
        ...


@dataclass(frozen=True)
class DataSet:
    """A data set of the catalog.

    Attributes:
        rules: what its preparation does, as the manifest records it; folders made by other rules are made anew.
        corpus: its content, from what the caller asks for.
    """

    rules: Mapping[str, Any]
    corpus: Callable[[Request], Content]

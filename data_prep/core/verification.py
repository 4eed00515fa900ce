"""Counts that the literature publishes, and the refusal of text that does not have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from data_prep.core.errors import DataError


@dataclass(frozen=True)
class SplitCounts:
    """What was counted in one split: ``tokens`` has one ``</s>`` a line, blank lines included."""

    tokens: int
    lines: int
    unknown: int


@dataclass(frozen=True)
class PublishedCounts:
    """Expected numbers; empty where nothing is published.

    Attributes:
        tokens: of each split, one ``</s>`` a line.
        lines: of each split.
        types: different words of train, ``</s>`` and ``<unk>`` among them (the literature's "vocabulary").
    """

    tokens: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    types: int | None = None

    def __bool__(self) -> bool:
        return bool(self.tokens or self.lines or self.types)

    def verify_split(self, split: str, label: str, *, lines: int, tokens: int | None = None) -> None:
        """Refuse a split whose counts are not the published ones; None stands for a count that is not known yet.

        Raises:
            DataError: names the file, what was found and what was expected.
        """
        for unit, found, expected in (("tokens", tokens, self.tokens), ("lines", lines, self.lines)):
            if split in expected and found is not None and found != expected[split]:
                raise DataError(
                    f"{label} has {found:,} {unit} and the published {split} split has {expected[split]:,}: it is "
                    "another text, another tokenization or a truncated copy. --allow-other-counts prepares it all the "
                    "same, as data of another identity"
                )

    def verify_types(self, label: str, types: int) -> None:
        """Refuse a training text whose vocabulary is not the published one.

        Raises:
            DataError: names the file, what was found and what was expected.
        """
        if self.types is not None and types != self.types:
            raise DataError(
                f"{label} has {types:,} different words (</s> and <unk> among them) and the published vocabulary has "
                f"{self.types:,}. --allow-other-counts prepares it all the same, as data of another identity"
            )

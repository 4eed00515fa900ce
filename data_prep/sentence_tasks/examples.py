"""Examples of a sentence task, some thousands at a time, and the refusal of what is none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from data_prep.core.errors import DataError, nearest
from data_prep.sentence_tasks.task import SCORES, Task


@dataclass(frozen=True)
class Examples:
    """Columns of consecutive examples.

    Attributes:
        places: where each stands, for messages: ``line 3`` of a file, ``row 2`` of the hub's.
        sentences: one list, or two for pairs.
        labels: as GLUE's files write them; None in a test split.
        indices: GLUE's index column; None in a split that is not handed in.
        skipped: broken lines that were left out here.
    """

    places: Sequence[str]
    sentences: tuple[list[str], ...]
    labels: list[str] | None
    indices: list[str] | None
    skipped: int = 0


class ExampleSource(Protocol):
    """Splits of labeled sentences that can be read one after another."""

    splits: Sequence[str]

    def examples(self, split: str) -> Iterator[Examples]:
        """The examples of ``split`` in order."""
        ...

    def label(self, split: str) -> str:
        """What to call ``split`` in a message: the file's path, or the hub's name."""
        ...

    def describe(self) -> dict[str, Any]:
        """The manifest's ``source`` entry; complete only after every split was read."""
        ...


def refuse_bad(task: Task, found: Examples, label: str) -> None:
    """Refuse empty sentences and labels that the task does not have.

    Raises:
        DataError: names the file, the line, what was found and what was expected.
    """
    if not task.irregular:
        for sentences in found.sentences:
            for place, sentence in zip(found.places, sentences, strict=True):
                if not sentence.strip():
                    raise DataError(f"{label}, {place}: the sentence is empty")
    for place, written in zip(found.places, found.labels or (), strict=found.labels is not None):
        if fault := _score_fault(written) if task.regression else _class_fault(written, task.labels):
            raise DataError(f"{label}, {place}: {fault}")


class IndexCheck:
    """GLUE's index column of one split, block after block: its server looks answers up by it.

    Args:
        label: what to call the split in a message.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._places: dict[str, str] = {}

    def refuse_bad(self, found: Examples) -> None:
        """Refuse an index that is missing, not one word, or that an earlier example of the split has.

        Raises:
            DataError: names the file, the line and the index.
        """
        for place, index in zip(found.places, found.indices or (), strict=found.indices is not None):
            if not index.strip():
                fault = "the index is missing"
            elif index.split() != [index]:
                fault = f"the index {index!r} has white space inside or around it"
            elif index in self._places:
                fault = f"the index {index!r} is that of {self._places[index]} too"
            else:
                self._places[index] = place
                continue
            raise DataError(
                f"{self._label}, {place}: {fault}; expected one word that no other line has, as GLUE's server looks "
                "predictions up by it"
            )


def _class_fault(written: str, labels: tuple[str, ...]) -> str | None:
    if written in labels:
        return None
    if not written:
        return f"the label is missing: expected one of {', '.join(labels)}"
    return f"the label {written!r} is none of {', '.join(labels)}{nearest(written, labels)}"


def _score_fault(written: str) -> str | None:
    expected = f"expected a number from {SCORES[0]:g} to {SCORES[1]:g}"
    if not written:
        return f"the score is missing: {expected}"
    try:
        score = float(written)
    except ValueError:
        return f"the score {written!r} is not a number: {expected}"
    # A comparison that is also false for nan.
    return None if SCORES[0] <= score <= SCORES[1] and math.isfinite(score) else f"the score is {written}: {expected}"


def score_text(written: str) -> str:
    """A score in the shortest form that is the same in single precision, which is the hub's."""
    return str(np.float32(written))

"""GLUE from the Hugging Face hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from data_prep.core.errors import DataError
from data_prep.core.hub import ROWS, load_splits, resolved_revision
from data_prep.sentence_tasks.examples import Examples
from data_prep.sentence_tasks.task import Split, Task

HUB_ID = "nyu-mll/glue"
HUB_REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"
UNLABELED = -1
_NOT_IN_A_LINE = ("\n", "\r", "\0")


class TaskHub:
    """The hub's copy of one task: sentences, numbers of classes (or scores), and GLUE's index.

    Args:
        task: which.
        revision: commit, branch or tag; None for the pinned one.

    Raises:
        DataError: the hub cannot be reached, or does not have the data.
    """

    def __init__(self, task: Task, revision: str | None) -> None:
        self._task, self._revision = task, revision or HUB_REVISION
        self._digests: dict[str, str] = {}
        self._rows: dict[str, Mapping[str, Any]] = {}
        self.splits: Sequence[str] = tuple(task.splits)
        files = ", ".join(facts.file for facts in task.splits.values())
        instead = f"call it with --source DIR, where DIR holds GLUE's own folders: {files}"
        for configuration in dict.fromkeys(self._configuration(split) for split in self.splits):
            wanted = [task.splits[split].hub for split in self.splits if self._configuration(split) == configuration]
            self._rows[configuration] = load_splits(HUB_ID, configuration, self._revision, wanted, instead)

    def examples(self, split: str) -> Iterator[Examples]:
        facts = self._task.splits[split]
        digest = hashlib.sha256()
        first = 1
        rows = self._rows[self._configuration(split)][facts.hub]
        names = self._task.hub_sentences or self._task.sentences
        self._refuse_columns(split, rows.column_names, [*names, "label", "idx"])
        self._refuse_other_classes(split, getattr(rows.features["label"], "names", None))
        for batch in rows.iter(batch_size=ROWS):
            places = [f"row {number}" for number in range(first, first + len(batch["idx"]))]
            sentences = tuple(list(batch[name]) for name in names)
            for column in sentences:
                self._refuse_line_ends(split, places, column)
                digest.update("".join(f"{sentence}\n" for sentence in column).encode("utf-8", "surrogatepass"))
            labels = [self._label(value) for value in batch["label"]] if facts.labeled else None
            digest.update("".join(f"{label}\n" for label in labels or ()).encode())
            first += len(places)
            yield Examples(places, sentences, labels, self._indices(facts, batch))
        self._digests[split] = digest.hexdigest()

    def label(self, split: str) -> str:
        return f"{HUB_ID} ({self._configuration(split)}, {self._task.splits[split].hub})"

    def describe(self) -> dict[str, Any]:
        files = {}
        for split, digest in self._digests.items():
            files[f"{self._configuration(split)}/{self._task.splits[split].hub}"] = {"sha256": digest}
        revision = resolved_revision(self._rows[self._task.name]) or self._revision
        return {"kind": "hub", "id": f"{HUB_ID}/{self._task.name}", "revision": revision, "files": files}

    def _configuration(self, split: str) -> str:
        return self._task.splits[split].configuration or self._task.name

    def _label(self, value: float | None) -> str:
        """As GLUE's files write it; empty where it is missing."""
        if value is None or value == UNLABELED:
            return ""
        if self._task.regression:
            return repr(float(value))
        known = 0 <= value < len(self._task.labels)
        return self._task.labels[cast(int, value)] if known else str(value)

    @staticmethod
    def _indices(facts: Split, batch: Mapping[str, Any]) -> list[str] | None:
        return ["" if index is None else str(index) for index in batch["idx"]] if facts.submission else None

    def _refuse_columns(self, split: str, found: Sequence[str], wanted: Sequence[str]) -> None:
        missing = [name for name in wanted if name not in found]
        if missing:
            raise DataError(f"{self.label(split)} has no column {missing[0]!r}: found {', '.join(found)}")

    def _refuse_other_classes(self, split: str, found: Sequence[str] | None) -> None:
        """The hub's numbers are those of its own order of names, which has to be GLUE's."""
        named = not any(label.isdecimal() for label in self._task.labels)
        if found is not None and named and tuple(found) != self._task.labels:
            raise DataError(
                f"{self.label(split)} has the classes {', '.join(found)}; expected {', '.join(self._task.labels)}"
            )

    def _refuse_line_ends(self, split: str, places: Sequence[str], sentences: Sequence[str]) -> None:
        for place, sentence in zip(places, sentences, strict=True):
            if sentence is None:
                raise DataError(f"{self.label(split)}, {place}: the sentence is missing")
            if fault := next((character for character in _NOT_IN_A_LINE if character in sentence), None):
                raise DataError(f"{self.label(split)}, {place}: {fault!r} inside the sentence, which is one line")

"""From examples to the folder that fairseq's ``sentence_prediction`` task reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.manifest import build_manifest, write_manifest
from data_prep.core.progress import Progress
from data_prep.sentence_tasks.embedded import RULES as EMBEDDED_RULES
from data_prep.sentence_tasks.examples import Examples, ExampleSource, IndexCheck, refuse_bad, score_text
from data_prep.sentence_tasks.task import Task
from data_prep.text.dictionary import UNKNOWN, Dictionary
from data_prep.text.indexed_writer import IndexedWriter
from data_prep.text.tokens import Tokens

RULES = {
    "sentences": "tokenized one by one as the tokens' corpus was; </s> closes each; never cut",
    "labels": "GLUE's fixed order, not frequency; a score as the shortest number of single precision",
    "splits": "test splits of GLUE have no labels and keep GLUE's index",
}


@dataclass
class _Counts:
    rows: int = 0
    tokens: int = 0
    unknown: int = 0
    skipped: int = 0
    labels: Counter[str] = field(default_factory=Counter)


def rules_for(task: Task, tokens: Tokens) -> dict[str, str]:
    """The manifest's ``rules``: prepared by other ones, a folder is stale."""
    made = {"examples": EMBEDDED_RULES[task.name]} if task.embedded else {}
    return {**RULES, **made, "tokens": tokens.rule}


def fill_task(
    folder: Path, task: Task, tokens: Tokens, source: ExampleSource, allow_other_counts: bool = False
) -> dict[str, Any]:
    """Write the splits, dictionaries and manifest of ``task`` into an existing, empty ``folder``.

    ``input0/<split>.{bin,idx}`` and, for pairs, ``input1/...`` hold the sentences; ``label/<split>.{bin,idx}`` with
    ``label/dict.txt`` the classes, or ``label/<split>.label`` the scores, one a line; ``index/<split>.txt`` GLUE's
    index of a test split; ``dict.txt`` (in the folder and beside the sentences) is the tokens' corpus'.

    Returns:
        The manifest.

    Raises:
        DataError: an example is none, or the rows are not the official ones.
    """
    name = f"glue_{task.name}"
    for part in ("input0", "input1")[: len(task.sentences)]:
        (folder / part).mkdir()
        tokens.dictionary.save(folder / part / "dict.txt")
    tokens.dictionary.save(folder / "dict.txt")
    (folder / "label").mkdir()
    progress = Progress(name)
    counts = {}
    try:
        for split in sorted(source.splits, key=lambda split: split == "train"):  # train last: it is the largest
            counts[split] = _write_split(folder, split, task, tokens, source, progress)
            if not allow_other_counts:
                _verify(task, split, source.label(split), counts[split].rows)
    finally:
        progress.close()
    if not task.regression:
        _refuse_one_class(source.label("train"), counts["train"].labels)
        Dictionary((label, counts["train"].labels[label]) for label in task.labels).save(folder / "label" / "dict.txt")
    published = any(facts.rows for facts in task.splits.values())
    manifest = build_manifest(
        folder,
        name=name,
        counts="none" if not published else "other" if allow_other_counts else "published",
        splits={split: _describe(counts[split]) for split in source.splits},
        vocabulary={"size": len(tokens.dictionary), "words": tokens.dictionary.words},
        source=source.describe(),
        rules=rules_for(task, tokens),
        identified={"task": task.name, "tokens": {"name": tokens.name, "identity": tokens.identity}},
        described={"labels": list(task.labels), "pair": task.pair, "regression": task.regression},
    )
    write_manifest(folder, manifest)
    return manifest


def _write_split(
    folder: Path, split: str, task: Task, tokens: Tokens, source: ExampleSource, progress: Progress
) -> _Counts:
    counts = _Counts()
    with ExitStack() as files:
        inputs = [
            files.enter_context(IndexedWriter(folder / f"input{part}" / split, len(tokens.dictionary)))
            for part in range(len(task.sentences))
        ]
        labels: _Labels | None = None
        check = IndexCheck(source.label(split))
        for found in source.examples(split):
            refuse_bad(task, found, source.label(split))
            check.refuse_bad(found)
            for writer, sentences in zip(inputs, found.sentences, strict=True):
                ids, sizes = tokens.dictionary.encode(tokens.tokenize(sentences))
                writer.add(ids, sizes)
                counts.tokens += len(ids)
                counts.unknown += int(np.count_nonzero(ids == UNKNOWN))
            if found.labels is not None:
                labels = labels or _Labels(folder / "label", split, task, files)
                labels.add(found)
                counts.labels.update(found.labels)
            if found.indices is not None:
                (folder / "index").mkdir(exist_ok=True)
                with (folder / "index" / f"{split}.txt").open("a", encoding="utf-8", newline="\n") as file:
                    file.writelines(f"{index}\n" for index in found.indices)
            counts.rows += len(found.places)
            counts.skipped += found.skipped
            progress.show(f"writing {split}", counts.rows, unit="rows")
        if not counts.rows:
            raise DataError(f"{source.label(split)} has no rows: the {split} split is empty")
    return counts


class _Labels:
    """The label file of one split, in either form."""

    def __init__(self, folder: Path, split: str, task: Task, files: ExitStack) -> None:
        self._regression = task.regression
        self._dictionary = Dictionary((label, 1) for label in task.labels)
        if task.regression:
            path = folder / f"{split}.label"
            self._scores = files.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        else:
            self._classes = files.enter_context(IndexedWriter(folder / split, len(self._dictionary)))

    def add(self, found: Examples) -> None:
        if self._regression:
            self._scores.writelines(f"{score_text(label)}\n" for label in found.labels or ())
        else:
            self._classes.add(*self._dictionary.encode([[label] for label in found.labels or ()]))


def _describe(counts: _Counts) -> Mapping[str, Any]:
    described = {
        "rows": counts.rows,
        "tokens": counts.tokens,
        "unknown": counts.unknown,
        "unknown_rate": counts.unknown / counts.tokens,
    }
    return {**described, "skipped": counts.skipped} if counts.skipped else described


def _verify(task: Task, split: str, label: str, rows: int) -> None:
    official = task.splits[split].rows
    if official and rows not in official:
        expected = " or ".join(f"{count:,}" for count in official)
        raise DataError(
            f"{label} has {rows:,} rows and GLUE's {task.folder} has {expected} in {split}: it is another version or a "
            "truncated copy. --allow-other-counts prepares it all the same, as data of another identity"
        )


def _refuse_one_class(label: str, counts: Mapping[str, int]) -> None:
    if len(counts) == 1:
        raise DataError(
            f"{label} has the label {next(iter(counts))!r} in every row: there is nothing to learn; the file is sorted "
            "and cut off, or its label column is another"
        )

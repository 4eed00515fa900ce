"""GLUE's own folders: files of columns between tabs, in which quotation marks are text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError, nearest
from data_prep.sentence_tasks.examples import Examples
from data_prep.sentence_tasks.task import Split, Task
from data_prep.text.text_source import LocalFiles

INDEX_COLUMNS = ("index", "id")
# GLUE's QQP has some two dozen lines that a line end inside a question broke; a file with more is another fault.
BROKEN_AT_MOST = 100


class TaskFiles:
    """The files of one task.

    A file has a header that names its columns (but CoLA's train and dev); columns are found by name, every line has as
    many as the header.

    Args:
        task: which.
        folder: where GLUE's own folders are.
        partial: do without validation and test splits that are missing; ``train`` and ``valid`` are always needed.

    Raises:
        DataError: the folder or a file is not there.
    """

    def __init__(self, task: Task, folder: Path, partial: bool = False) -> None:
        self._task = task
        names = {
            split: facts.file
            for split, facts in task.splits.items()
            if (folder / facts.file).is_file() or not (facts.optional or (partial and split not in ("train", "valid")))
        }
        self._files = LocalFiles(folder, names, byte_order_mark=True)
        self.splits: Sequence[str] = tuple(names)

    def examples(self, split: str) -> Iterator[Examples]:
        facts = self._task.splits[split]
        columns = facts.columns
        line, broken = 1, 0
        for block in self._files.blocks(split):
            lines: Sequence[str] = block
            if columns is None and lines:
                columns, lines, line = tuple(lines[0].split("\t")), lines[1:], line + 1
                self._refuse_header(split, columns)
            if columns is not None:
                found = self._parse(split, facts, columns, lines, line)
                broken += found.skipped
                if broken > BROKEN_AT_MOST:
                    raise DataError(f"{self.label(split)} has more than {BROKEN_AT_MOST} broken lines: it is damaged")
                yield found
            line += len(lines)

    def label(self, split: str) -> str:
        return self._files.label(split)

    def describe(self) -> dict[str, Any]:
        return self._files.describe()

    def _refuse_header(self, split: str, columns: tuple[str, ...]) -> None:
        facts = self._task.splits[split]
        wanted = [*self._task.sentences]
        wanted += [self._task.label] if facts.labeled else []
        wanted += [INDEX_COLUMNS[0]] if facts.submission else []
        for name in wanted:
            if name not in columns and not (name == INDEX_COLUMNS[0] and INDEX_COLUMNS[1] in columns):
                hint = nearest(name, columns, cutoff=0.6)  # cells of a file without a header are no columns
                raise DataError(
                    f"{self.label(split)}, line 1: the header has no column {name!r}{hint}; found "
                    f"{', '.join(map(repr, columns))}. GLUE's own file of {self._task.folder} is expected"
                )

    def _parse(
        self, split: str, facts: Split, columns: tuple[str, ...], lines: Sequence[str], first_line: int
    ) -> Examples:
        rows = [line.split("\t") for line in lines]
        places = [f"line {number}" for number in range(first_line, first_line + len(rows))]
        faulty = [at for at, row in enumerate(rows) if len(row) != len(columns)]
        if faulty and (facts.submission or not self._task.irregular):
            at = faulty[0]
            raise DataError(
                f"{self.label(split)}, {places[at]}: {len(rows[at])} columns between tabs where "
                f"{len(columns)} are expected ({', '.join(columns)}); a tab or a line end inside a sentence breaks the "
                f"line{'' if not self._task.irregular else '; a test split needs a prediction for every line'}"
            )
        for at in reversed(faulty):
            del rows[at], places[at]
        column = columns.index
        index = next((name for name in INDEX_COLUMNS if name in columns), None)
        return Examples(
            places,
            tuple([row[column(name)] for row in rows] for name in self._task.sentences),
            [row[column(self._task.label)] for row in rows] if facts.labeled else None,
            [row[column(index)] for row in rows] if facts.submission and index else None,
            len(faulty),
        )

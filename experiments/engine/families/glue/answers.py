"""A GLUE run's answers, written as GLUE's server reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.sentence_tasks.task import Task
from experiments.util.errors import UserError
from experiments.util.files import write_atomically

FOLDER = "predictions"


def write_answers(folder: Path, task: Task, split: str, data: Path, answers: np.ndarray) -> Path:
    """Write the answers for a test split as GLUE's server reads them: ``index<tab>prediction``, with a header.

    Args:
        folder: the run's.
        task: which.
        split: of its test splits.
        data: the prepared folder, which keeps GLUE's index column.
        answers: ``(examples,)`` in the data's order.

    Raises:
        UserError: the data has another number of examples.
    """
    index = (data / "index" / f"{split}.txt").read_text(encoding="utf-8").split()
    if len(index) != len(answers):
        raise UserError(f"{data}/index/{split}.txt has {len(index):,} rows and there are {len(answers):,} answers")
    lines = [f"{row}\t{task.written(answer)}\n" for row, answer in zip(index, answers.tolist(), strict=True)]
    path = folder / FOLDER / task.submissions[split]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "index\tprediction\n" + "".join(lines))
    return path

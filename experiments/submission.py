"""A run's answers for GLUE's test sets, and the zip that GLUE's server takes.

    python -m experiments.submission encoding=lrpe_orthogonal profile=paper [seed=1] [out=submission.zip]

Keys:
    encoding, profile, protocol, seed   whose runs (any other override of experiments.train works too)
    out                                 the zip                            [results/submissions/<name>.zip]
    partial                             leave out tasks without answers    [false]
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep import TASKS
from data_prep.sentence_tasks.catalogue import GLUE
from data_prep.sentence_tasks.task import Task
from experiments.errors import UserError, exit_on_user_error
from experiments.files import write_atomically
from experiments.records import load_record

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


def collect(overrides: Sequence[str], partial: bool) -> tuple[dict[str, Path], str]:
    """(the answers' files by the name that they have in the zip, a name for it) of the finished runs that ``overrides``
    name.

    Raises:
        UserError: runs or answers are missing (with what would make them), or there are none at all.
    """
    from experiments.config import compose, run_directory

    files: dict[str, Path] = {}
    lacking: list[str] = []
    name = "glue"
    for task in GLUE:
        config = compose(["experiment=glue", *overrides, f"task={task}"])
        name = f"glue-{config.encoding.label}-{config.protocol.name}-{config.profile.name}-seed{config.seed}"
        folder = run_directory(config)
        record = load_record(folder)
        for answer in TASKS[task].submissions.values():
            path = folder / FOLDER / answer
            if record is not None and record.finished and path.is_file():
                files[answer] = path
            elif answer == "AX.tsv" and record is not None and record.finished:
                lacking.append("AX.tsv: the diagnostic set was not in the prepared data (data_prep.glue)")
            else:
                shown = " ".join(["experiment=glue", *overrides, f"task={task}"])
                lacking.append(f"{answer}: python -m experiments.train {shown}")
    if lacking and not (partial and files):
        raise UserError("answers are missing:\n  " + "\n  ".join(lacking) + "\npartial=true leaves them out")
    return files, name


def main(arguments: Sequence[str]) -> int:
    if any(word in ("-h", "--help", "help") for word in arguments):
        print((__doc__ or "").strip())
        return 0
    own = dict(word.split("=", 1) for word in arguments if word.startswith(("out=", "partial=")))
    if own.get("partial", "false") not in ("true", "false"):
        raise UserError(f"partial={own['partial']}: expected true or false")
    overrides = [word for word in arguments if not word.startswith(("out=", "partial="))]
    files, name = collect(overrides, own.get("partial") == "true")
    out = Path(own.get("out", f"results/submissions/{name}.zip"))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(out.name + ".partial")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for answer, path in sorted(files.items()):
            archive.write(path, answer)
    temporary.replace(out)
    print(f"{out}: {', '.join(sorted(files))}")
    return 0


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))

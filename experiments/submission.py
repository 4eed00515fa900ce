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

from data_prep.api import TASKS
from data_prep.sentence_tasks.catalog import GLUE
from experiments.engine.families.glue.answers import FOLDER
from experiments.runs.records import load_record
from experiments.util.errors import UserError, exit_on_user_error


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
    out = Path(own.get("out", f"results/submissions/{name}.zip")).expanduser()
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

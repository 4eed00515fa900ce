"""GLUE's tasks, and two from the embedded text, tokenized as a pretraining corpus was.

python -m data_prep.glue --task cola|...|all --tokens data/wikitext103_bpe [--source DIR]

``<out>/glue/<name of the tokens' folder>/<task>/`` is what fairseq's ``sentence_prediction`` task reads: sentences in
``input0`` (and ``input1``), classes or scores in ``label``, GLUE's index of the test splits in ``index``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from data_prep.core.command_line import user_path
from data_prep.core.errors import DataError
from data_prep.core.hub import HubError
from data_prep.core.manifest import load_manifest
from data_prep.sentence_tasks.catalog import GLUE, TASKS
from data_prep.sentence_tasks.embedded import EmbeddedExamples

ALL = "all"


def build_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.glue", description="Prepare sentence tasks.")
    parser.add_argument(
        "--task", required=True, choices=[*TASKS, ALL], metavar="TASK", help=f"{', '.join(TASKS)}, or all nine of GLUE"
    )
    parser.add_argument(
        "--tokens",
        required=True,
        type=user_path,
        metavar="DIR",
        help="prepared folder of the pretraining corpus, whose vocabulary tokenizes the sentences",
    )
    parser.add_argument(
        "--out", type=user_path, metavar="DIR", help="where <DIR>/glue/<tokens>/<task>/ goes (LRPE_DATA, or ./data)"
    )
    parser.add_argument(
        "--source", type=user_path, metavar="DIR", help="GLUE's own folders (CoLA, MNLI, ...), not the hub"
    )
    parser.add_argument("--revision", metavar="COMMIT", help="of the hub's data set, instead of the pinned one")
    parser.add_argument("--allow-other-counts", action="store_true", help="accept rows that are not the official ones")
    parser.add_argument("--force", action="store_true", help="prepare again what is already there")
    parser.add_argument("--write-tsv", type=user_path, metavar="DIR", help="write an embedded task as GLUE's files too")
    return parser


def summary(folder: Path) -> str:
    """A few lines on a prepared task."""
    manifest = load_manifest(folder)
    kind = "scores" if manifest["regression"] else f"labels {', '.join(manifest['labels'])}"
    lines = [
        f"{folder}",
        f"  {'pairs' if manifest['pair'] else 'sentences'}, {kind}; tokens of {manifest['tokens']['name']}, counts: "
        f"{manifest['counts']}, identity {manifest['identity'][:12]}",
    ]
    for split, counts in manifest["splits"].items():
        skipped = f", {counts['skipped']} broken lines skipped" if "skipped" in counts else ""
        lines.append(
            f"  {split:<16}{counts['rows']:>9,} rows {counts['tokens']:>12,} tokens "
            f"{100 * counts['unknown_rate']:6.2f} % <unk>{skipped}"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Prepare and exit: 0 done (or done before), 2 bad input with one message a task, 130 interrupted."""
    options = vars(build_parser().parse_args(arguments))
    from data_prep.api import prepare_task

    name, write_tsv = options.pop("task"), options.pop("write_tsv")
    failed = False
    try:
        for task in GLUE if name == ALL else (name,):
            try:
                print(summary(prepare_task(task, **options)), flush=True)
                if write_tsv is not None:
                    _write_tsv(task, write_tsv)
            except HubError:
                raise  # the next task's would fail too
            except DataError as error:
                failed = True
                print(f"error: {error}", file=sys.stderr)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("glue: interrupted; whole tasks stay, the same command goes on with the others", file=sys.stderr)
        raise SystemExit(130) from None
    raise SystemExit(2 if failed else 0)


def _write_tsv(name: str, folder: Path) -> None:
    if not TASKS[name].embedded:
        raise DataError(f"--write-tsv is for embedded tasks; {name} has files of its own")
    try:
        for path in EmbeddedExamples(TASKS[name]).write_tsv(folder):
            print(f"  {path}")
    except OSError as error:
        raise DataError(f"cannot write {error.filename or folder}: {error.strerror}") from error


if __name__ == "__main__":
    main()

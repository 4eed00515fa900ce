"""Measured tables that are kept in git with the records behind every cell.

    python -m experiments.measured collect results=DIR   copy finished runs of the tables, render (needs the data)
    python -m experiments.measured render                write the tables of the kept records anew
    python -m experiments.measured verify                seals, identities, tables byte for byte; exit code 1 on one

Keys:
    folder    where they are kept; tables.yaml in it lists them      [results/measured]
    results   the folder that holds runs/                            [LRPE_RESULTS, else results]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from experiments.measured.checking import problems
from experiments.measured.collecting import collect, render_kept
from experiments.measured.kept import KEPT, Kept
from experiments.util.arguments import parse
from experiments.util.errors import UserError, exit_on_user_error, nearest

COMMANDS = ("collect", "render", "verify")


@dataclass
class Arguments:
    folder: str = str(KEPT)
    results: str = field(default_factory=lambda: os.environ.get("LRPE_RESULTS", "results"))


def main(words: Sequence[str]) -> int:
    """The whole command; returns its exit code.

    Raises:
        UserError: an unknown command or key, or a folder that cannot be collected from or read.
    """
    usage = __doc__ or ""
    if not words or any(word in ("-h", "--help", "help") for word in words):
        print(usage.strip())
        return 0 if words else 2
    name, *rest = words
    if name not in COMMANDS:
        raise UserError(f"'{name}': unknown command{nearest(name, COMMANDS)} (commands: {', '.join(COMMANDS)})")
    arguments = parse(Arguments, rest, usage)
    kept = Kept(Path(arguments.folder))
    if name == "collect":
        collect(kept, Path(arguments.results).absolute(), print)
        return 0
    if name == "render":
        render_kept(kept)
        return 0
    found = list(problems(kept))
    print("\n".join(found) or _summary(kept))
    return 1 if found else 0


def _summary(kept: Kept) -> str:
    records = [run.record for run in kept.runs() if run.record is not None]
    hours = sum(record["wall_seconds"] for record in records) / 3600
    return f"{len(kept.tables)} tables of {len(records)} runs ({hours:.1f} hours of training) verified: all is well"


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))

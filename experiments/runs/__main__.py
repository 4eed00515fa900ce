"""The store of runs.

    python -m experiments.runs list [status=failed,dead] [encoding=lrpe_*] [metrics=valid_loss,test_loss]
    python -m experiments.runs show RUN [rows=8]
    python -m experiments.runs compare RUN RUN
    python -m experiments.runs prune [yes=true]           failed and dead runs; only lists them without yes=true
    python -m experiments.runs export [out=runs.csv]      one row a run; in Python: experiments.runs.frame("results")
    python -m experiments.runs upload                     send to wandb what it lacks of each run; safe to repeat
    python -m experiments.runs verify                     recompute identities and checksums; exit code 1 on a problem
    python -m experiments.runs expected [experiment=alm profile=demo]    write results/expected from finished runs

RUN is a run's folder, an encoding and a seed (rope/1), or the beginning of an identity (1a2b, 1a2b/seed2).

Filters, each a value, a pattern or several with commas: experiment, encoding, protocol, profile, data, seed, status
(running, finished, failed, interrupted; dead: killed and resumed by nobody yet; broken: no readable record).
results=FOLDER is where runs/ lies [LRPE_RESULTS, else results].
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from experiments.runs import comparison, dataframe, expected, listing, pruning, showing, upload, verification
from experiments.runs.selection import Selection
from experiments.util.arguments import parse
from experiments.util.console import make_console
from experiments.util.errors import UserError, exit_on_user_error, nearest


@dataclass(frozen=True)
class Command:
    """``act`` takes the words that are no key=value (``positional`` of them), the arguments and a console."""

    schema: type[Any]
    act: Callable[..., int]
    positional: int = 0


COMMANDS = {
    "list": Command(listing.Arguments, listing.list_runs),
    "show": Command(showing.Arguments, showing.show_run, positional=1),
    "compare": Command(Selection, lambda left, right, *rest: comparison.compare_runs((left, right), *rest), 2),
    "prune": Command(pruning.Arguments, pruning.prune_runs),
    "export": Command(dataframe.Arguments, dataframe.export_runs),
    "upload": Command(Selection, upload.upload_runs),
    "verify": Command(Selection, verification.verify_runs),
    "expected": Command(expected.Arguments, expected.write),
}


def main(words: Sequence[str], console: Console | None = None) -> int:
    """The whole command; returns its exit code.

    Raises:
        UserError: an unknown command, filter or run.
    """
    usage = __doc__ or ""
    if not words or any(word in ("-h", "--help", "help") for word in words):
        print(usage.strip())
        return 0 if words else 2
    name, *rest = words
    if name not in COMMANDS:
        raise UserError(f"'{name}': unknown command{nearest(name, COMMANDS)} (commands: {', '.join(COMMANDS)})")
    command = COMMANDS[name]
    positional = [word for word in rest if "=" not in word][: command.positional]
    if len(positional) < command.positional:
        raise UserError(f"{name} takes {command.positional} run{'s' * (command.positional > 1)}, got {len(positional)}")
    arguments: Any = parse(command.schema, [word for word in rest if word not in positional], usage)
    return command.act(*(os.path.expanduser(word) for word in positional), arguments, console or make_console())


if __name__ == "__main__":
    exit_on_user_error(lambda: main(sys.argv[1:]))

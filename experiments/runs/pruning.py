"""``python -m experiments.runs prune``."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from data_prep.core.locks import holder_file, lock_file
from experiments.runs import presentation as show
from experiments.runs.locks import hold
from experiments.runs.selection import Selection
from experiments.runs.store import StoredRun, open_run
from experiments.util import console as terminal
from experiments.util.errors import UserError

PRUNED = ("failed", "dead")


@dataclass
class Arguments(Selection):
    yes: bool = False


def prune_runs(arguments: Arguments, console: Console) -> int:
    """List the failed and dead runs, and with ``yes=true`` delete them; finished and held ones are never touched."""
    runs = [run for run in arguments.runs() if run.state in PRUNED]
    if not runs:
        terminal.say(console, f"no failed or dead runs below {arguments.results}/runs")
        return 0
    table = terminal.make_table()
    for header in ("run", "state", "updates", "size", "folder"):
        table.add_column(header, justify="right" if header in ("updates", "size") else "left", no_wrap=True)
    freed = 0
    for run in runs:
        used = folder_size(run.folder)
        freed += used
        updates = f"{run.record['updates']:,}" if run.record is not None else terminal.NONE
        table.add_row(Text(run.name), show.state(run), updates, terminal.size(used), Text(str(run.folder)))
    terminal.print_table(table, console)
    if not arguments.yes:
        terminal.say(
            console, f"{len(runs)} runs, {terminal.size(freed)}; nothing was deleted. Delete them: prune yes=true"
        )
        return 0
    deleted = sum(_delete(run, console) for run in runs)
    terminal.say(console, f"{deleted} of {len(runs)} runs deleted")
    return 0 if deleted == len(runs) else 1


def folder_size(folder: Path) -> int:
    """Bytes below a folder; of hard links to one file (fairseq's checkpoints) the first counts."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.lstat()
            seen[found.st_dev, found.st_ino] = found.st_size
    return sum(seen.values())


def _delete(run: StoredRun, console: Console) -> bool:
    try:
        with hold(run.folder):
            # Between the list and the lock somebody may have resumed, and even finished, it.
            record = open_run(run.folder).record
            if record is None or record["status"] not in ("failed", "running"):
                terminal.say(console, f"{run.folder} is not failed any more; kept")
                return False
            shutil.rmtree(run.folder)
            lock_file(run.folder).unlink(missing_ok=True)
    except UserError as error:
        terminal.say(console, f"{error}; kept")
        return False
    holder_file(run.folder).unlink(missing_ok=True)
    with suppress(OSError):  # other seeds are in it
        run.folder.parent.rmdir()
    return True

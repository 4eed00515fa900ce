"""``python -m experiments.runs list``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from experiments.runs import presentation as show
from experiments.runs.records import Record
from experiments.runs.selection import Selection
from experiments.runs.store import STATES, StoredRun
from experiments.util import console as terminal
from experiments.util.errors import UserError, nearest

ERROR_LENGTH = 70


@dataclass
class Arguments(Selection):
    metrics: str | None = None


def list_runs(arguments: Arguments, console: Console) -> int:
    """One row a run: what it is, its state, and the metrics asked for (else the one that sums it up)."""
    runs = arguments.runs()
    if not runs:
        terminal.say(console, f"no such runs below {arguments.results}/runs")
        return 0
    metrics = _metrics(arguments.metrics, runs)
    table = terminal.make_table()
    for header in ("experiment", "encoding", "protocol", "profile", "data", "seed", "identity", "state"):
        table.add_column(header, no_wrap=True)
    for header in (*(metrics or ["result"]), "updates", "speed", "time"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("started", no_wrap=True)
    table.add_column("", no_wrap=True)
    for run in runs:
        keys = [Text(run.keys[key]) for key in ("experiment", "encoding", "protocol", "profile", "data", "seed")]
        table.add_row(*keys, Text(run.keys["identity"]), show.state(run), *_numbers(run, metrics), *_times(run))
    terminal.print_table(table, console)
    counted = Counter(run.state for run in runs)
    parts = [f"{counted[name]} {name}" for name in STATES if counted[name]]
    terminal.say(console, f"{len(runs)} runs: {', '.join(parts)}")
    return 0


def _metrics(wanted: str | None, runs: Sequence[StoredRun]) -> list[str]:
    names = [name.strip() for name in (wanted or "").split(",") if name.strip()]
    known = sorted({name for run in runs for name in run.metrics})
    for name in names:
        if name not in known:
            raise UserError(f"metrics={name}: no such run has it{nearest(name, known)} (there are: {', '.join(known)})")
    return names


def _numbers(run: StoredRun, metrics: Sequence[str]) -> list[Text]:
    record = run.record
    if metrics:
        shown = [terminal.number(run.metrics.get(name)) for name in metrics]
    else:
        found = show.headline(run.metrics) if record is not None else None
        shown = [f"{found[0].replace('_', ' ')} {terminal.number(found[1])}" if found else terminal.NONE]
    if record is None:
        return [Text(word) for word in (*shown, terminal.NONE, terminal.NONE, terminal.NONE)]
    return [
        Text(word)
        for word in (*shown, _updates(run, record), show.speed(record), terminal.duration(record["wall_seconds"]))
    ]


def _updates(run: StoredRun, record: Record) -> str:
    """How far it came; of a run without an end, by its history."""
    if run.state not in ("running", "dead"):
        return f"{record['updates']:,}"
    try:
        rows = run.files.history()
    except UserError:
        return terminal.NONE
    done = rows[-1]["update"] if rows else record["updates"]
    wanted = (run.config_or_nothing().get("recipe") or {}).get("max_update")
    return f"{done:,}/{wanted:,}" if isinstance(wanted, int) else f"{done:,}"


def _times(run: StoredRun) -> list[Text]:
    if run.record is None:
        return [Text(terminal.NONE), Text(str(run.problem))]
    segments = run.record["segments"]
    started = terminal.ago(segments[0]["started"]) if segments else terminal.NONE
    note = {"dead": "killed; the same command resumes it"}.get(run.state, run.record["error"] or "")
    line = (str(note).splitlines() or [""])[0]
    return [Text(started), Text(line if len(line) <= ERROR_LENGTH else line[: ERROR_LENGTH - 1] + "…")]

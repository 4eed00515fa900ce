"""``python -m experiments.runs show RUN``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from experiments.runs import presentation as show
from experiments.runs.naming import find_run
from experiments.runs.records import Record
from experiments.runs.selection import Selection
from experiments.runs.store import StoredRun
from experiments.util import console as terminal
from experiments.util.errors import UserError
from experiments.util.files import flatten


@dataclass
class Arguments(Selection):
    rows: int = 8


def show_run(name: str, arguments: Arguments, console: Console) -> int:
    """Everything about one run: record, metrics, config, provenance, the end of its history."""
    run = find_run(name, arguments.results)
    console.print(Text(f"{run.name}  ", "bold"), show.state(run))
    terminal.say(console, f"{run.folder}")
    if run.record is None:
        terminal.say(console, str(run.problem))
    else:
        _section("run", _facts(run.record), console)
        _section("metrics", run.metrics, console)
        _section("parameters", run.record["parameters"], console)
    _section("config", _tried(run.config), console)
    if run.record is not None:
        _section("provenance", _provenance(run.record["manifest"]), console)
    _history(run, arguments.rows, console)
    return 0


def _facts(record: Record) -> dict[str, Any]:
    segments = record["segments"]
    return {
        **record["run"],
        "started": segments[0]["started"] if segments else None,
        "ended": segments[-1]["ended"] if segments else None,
        "segments": len(segments),
        "wall time": terminal.duration(record["wall_seconds"]),
        "updates": record["updates"],
        **{unit: record.get(unit) for unit in ("tokens", "sentences", "images")},
        "speed": show.speed(record),
        "peak memory": terminal.size(record["peak_memory_bytes"]) if record["peak_memory_bytes"] else None,
        "error": record["error"],
    }


def _provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in manifest.items() if key not in ("data", "not_guaranteed", "command")}
    data = {key: value for key, value in (manifest.get("data") or {}).items() if key != "files"}
    return {"command": " ".join(manifest.get("command") or ()), **shown, "data": data}


def _tried(read: Any) -> dict[str, Any]:
    try:
        return read()
    except UserError as error:
        return {"problem": str(error)}


def _section(title: str, content: Mapping[str, Any], console: Console) -> None:
    console.print(Text(f"\n{title}", "bold"))
    flat = {key: value for key, value in flatten(content).items() if value is not None}
    width = max((len(key) for key in flat), default=0)
    for key, value in flat.items():
        terminal.say(
            console, f"  {key:<{width}}  {terminal.number(value) if isinstance(value, int | float) else value}"
        )


def _history(run: StoredRun, count: int, console: Console) -> None:
    try:
        rows = run.files.history()
    except UserError as error:
        terminal.say(console, f"\n{error}")
        return
    if not rows or count < 1:
        return
    names = list(dict.fromkeys(name for row in rows[-count:] for name in row))
    table = terminal.make_table(f"history, the last {min(count, len(rows))} of {len(rows)} rows")
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "split" else "right", no_wrap=True)
    for row in rows[-count:]:
        table.add_row(*(Text(terminal.number(row.get(name))) for name in names))
    terminal.print_table(table, console)

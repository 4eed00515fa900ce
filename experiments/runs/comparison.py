"""``python -m experiments.runs compare RUN RUN``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from experiments.runs import presentation as show
from experiments.runs.naming import find_run
from experiments.runs.selection import Selection
from experiments.runs.store import NUMBERS, StoredRun
from experiments.util import console as terminal
from experiments.util.files import flatten

# Where and how fast a run was made: nothing here enters its identity (experiments.config.identity).
PLACES = ("paths", "tracker", "engine", "data.folder", "seed")
ABSENT = object()


def compare_runs(names: Sequence[str], arguments: Selection, console: Console) -> int:
    """Two runs side by side: where their configs, metrics and environments differ."""
    left, right = (find_run(name, arguments.results) for name in names)
    columns = (left.name, right.name)
    for run in (left, right):
        console.print(Text(f"{run.name}  "), show.state(run), Text(f"  {run.folder}"))
    differing = differences(left.config(), right.config())
    science = {key: pair for key, pair in differing.items() if not is_place(key)}
    _print("config: the experiment", columns, science, console)
    _print("config: where and how", columns, {k: v for k, v in differing.items() if k not in science}, console)
    _print_metrics(columns, _measured(left), _measured(right), console)
    _print("environment", columns, differences(_environment(left), _environment(right)), console)
    return 0


def differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Every dotted key whose values differ, with both; a side that lacks it has :data:`ABSENT`."""
    flat_left, flat_right = flatten(left), flatten(right)
    pairs = {key: (flat_left.get(key, ABSENT), flat_right.get(key, ABSENT)) for key in {**flat_left, **flat_right}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def is_place(key: str) -> bool:
    """Whether a config key says where and how a run is made, and so does not enter its identity."""
    if key.startswith("engine.fairseq"):
        return False
    return any(key == place or key.startswith(place + ".") for place in PLACES)


def _measured(run: StoredRun) -> dict[str, Any]:
    if run.record is None:
        return {}
    parameters = flatten(run.record["parameters"], "parameters.")
    return {**run.metrics, **parameters, **{name: run.record[name] for name in NUMBERS if name in run.record}}


def _environment(run: StoredRun) -> dict[str, Any]:
    manifest = dict(run.record["manifest"]) if run.record is not None else {}
    data = {key: value for key, value in (manifest.pop("data", None) or {}).items() if key in ("name", "identity")}
    for key in ("created", "not_guaranteed", "command"):
        manifest.pop(key, None)
    return {**manifest, "data": data}


def _print(title: str, columns: Sequence[str], pairs: Mapping[str, tuple[Any, Any]], console: Console) -> None:
    if not pairs:
        terminal.say(console, f"\n{title}: no difference")
        return
    table = terminal.make_table(title)
    for header in ("", *columns):
        table.add_column(Text(header), no_wrap=True)
    for key, pair in pairs.items():
        table.add_row(Text(key), *(Text(terminal.NONE if value is ABSENT else str(value)) for value in pair))
    terminal.print_table(table, console)


def _print_metrics(columns: Sequence[str], left: Mapping[str, Any], right: Mapping[str, Any], console: Console) -> None:
    table = terminal.make_table("metrics")
    table.add_column("", no_wrap=True)
    for header in (*columns, "difference"):
        table.add_column(Text(header), justify="right", no_wrap=True)
    for name in {**left, **right}:
        old, new = left.get(name), right.get(name)
        change = terminal.NONE
        if old is not None and new is not None and old != new:
            change = f"{'+' if new > old else '-'}{terminal.number(abs(new - old))}"
        table.add_row(Text(name), *(Text(terminal.number(value)) for value in (old, new)), Text(change))
    terminal.print_table(table, console)

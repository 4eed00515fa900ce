"""All runs as one table: one row a run, every nested key a column; for pandas, and as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experiments.runs.selection import Selection
from experiments.runs.store import KEYS, NUMBERS, StoredRun, scan
from experiments.util import console as terminal
from experiments.util.errors import UserError
from experiments.util.files import flatten, write_atomically

if TYPE_CHECKING:
    import pandas


@dataclass
class Arguments(Selection):
    out: str | None = None


def frame(results: Path | str = "results", runs: Sequence[StoredRun] | None = None) -> pandas.DataFrame:
    """A pandas table with one row a run of the store below ``results`` (or of ``runs``), finished or not.

    Columns: what a run is called by (``experiment``, ``encoding``, ``protocol``, ``profile``, ``data``, ``seed``,
    ``identity``), ``status`` (with ``dead`` and ``broken``), ``folder``, ``started``, the record's numbers, then
    ``metrics.*``, ``parameters.*``, ``config.*`` and ``manifest.*`` as dotted keys. A value that a run does not have
    is missing (NaN), never zero.
    """
    import pandas

    rows = [row_of(run) for run in (scan(results) if runs is None else runs)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    groups = ("metrics.", "parameters.", "config.", "manifest.")
    names.sort(key=lambda name: next((place for place, group in enumerate(groups, 1) if name.startswith(group)), 0))
    return pandas.DataFrame(rows, columns=names or [*KEYS, "status", "folder"])


def row_of(run: StoredRun) -> dict[str, Any]:
    """One run as flat keys and values."""
    row: dict[str, Any] = {**run.keys, "status": run.state, "folder": str(run.folder)}
    row["seed"] = int(row["seed"]) if row["seed"].isdecimal() else None
    config = flatten(run.config_or_nothing(), "config.")
    if run.record is None:
        return {**row, "problem": run.problem, **config}
    segments = run.record["segments"]
    row["started"] = segments[0]["started"] if segments else None
    row |= {name: run.record[name] for name in NUMBERS if name in run.record}
    row["error"] = run.record["error"]
    manifest = dict(run.record["manifest"])
    manifest["command"] = " ".join(manifest.get("command") or ())
    data = manifest.get("data") or {}
    manifest["data"] = {key: data.get(key) for key in ("name", "identity")}
    manifest.pop("not_guaranteed", None)
    parts = {"metrics": run.metrics, "parameters": run.record["parameters"], "manifest": manifest}
    return {**row, **flatten(parts), **config}


def export_runs(arguments: Arguments, console: Console) -> int:
    """The same table as CSV, into ``out`` or onto standard output.

    Raises:
        UserError: ``out`` is no CSV file, or cannot be written.
    """
    if arguments.out is not None and Path(arguments.out).suffix != ".csv":
        raise UserError(f"out={arguments.out}: expected a name that ends in .csv")
    runs = arguments.runs()
    text = frame(runs=runs).to_csv(index=False)
    if arguments.out is None:
        console.file.write(text)
        return 0
    try:
        write_atomically(Path(arguments.out), text)
    except OSError as error:
        raise UserError(f"out={arguments.out}: {error.strerror}") from None
    terminal.say(console, f"{len(runs)} runs written to {arguments.out}")
    return 0

"""``python -m experiments.runs verify``: does every record say what was run, and is it as it was written?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from experiments.config.identity import recorded_identity, run_place
from experiments.runs.records import Record
from experiments.runs.selection import Selection
from experiments.runs.store import StoredRun
from experiments.util import console as terminal
from experiments.util.errors import UserError
from experiments.util.files import FIELD, file_checksum, record_checksum

TOLERANCE = 0.1  # of a validation loss that is measured twice: masks or noise may be drawn anew


def verify_runs(arguments: Selection, console: Console) -> int:
    """Print every problem of every run; 1 where there is any, else 0."""
    runs = arguments.runs()
    count = unsealed = 0
    for run in runs:
        for problem in problems(run):
            count += 1
            console.print(Text(run.name, "bold"), Text(problem))
        unsealed += run.record is not None and FIELD not in run.record
    if unsealed:
        terminal.say(
            console, f"{unsealed} records carry no checksum (an older version wrote them): edits may go unseen"
        )
    terminal.say(console, f"{len(runs)} runs verified: " + (f"{count} problems" if count else "all is well"))
    return 1 if count else 0


def problems(run: StoredRun, weights: bool = True) -> Iterator[str]:
    """What is wrong with a run, one sentence each; nothing for a sound one, whatever its state.

    Args:
        weights: whether a finished run has to have its best checkpoint.
    """
    if run.record is None:
        if run.state != "running":  # one that starts has no record yet
            yield str(run.problem)
        return
    record = run.record
    yield from _checksum(record)
    yield from _place(run, record)
    try:
        yield from _identity(run, record)
    except (KeyError, TypeError, AttributeError) as error:
        yield f"the identity cannot be computed from config.yaml and manifest ({type(error).__name__}: {error})"
    if weights:
        yield from _checkpoints(run, record)
    yield from _history(run, record)
    yield from _metrics(record["metrics"])


def _checksum(record: Mapping[str, Any]) -> Iterator[str]:
    if FIELD in record and record[FIELD] != record_checksum(record):
        yield "record.json was edited: its content and its checksum differ"


def _place(run: StoredRun, record: Record) -> Iterator[str]:
    named = record["run"]
    expected = run_place(*(named.get(key) for key in ("experiment", "encoding", "task", "identity", "seed")))
    if run.folder.absolute().parts[-3:] != expected:
        yield f"record.json is of {'/'.join(expected)}, but lies in {'/'.join(run.folder.absolute().parts[-3:])}"


def _identity(run: StoredRun, record: Record) -> Iterator[str]:
    try:
        config = run.config()
        found = recorded_identity(config, record["manifest"])
    except UserError as error:
        yield str(error)
        return
    named = record["run"]
    if found != named["identity"]:
        yield f"config.yaml and data give the identity {found}, the record says {named['identity']}: one was edited"
    if config.get("seed") != named["seed"]:
        yield f"config.yaml has seed {config.get('seed')}, the record {named['seed']}"


def _checkpoints(run: StoredRun, record: Record) -> Iterator[str]:
    if record.finished and not (run.files.checkpoints / "checkpoint_best.pt").is_file():
        yield "finished, but checkpoints/checkpoint_best.pt is missing: it cannot be evaluated"


def _history(run: StoredRun, record: Record) -> Iterator[str]:
    try:
        rows = run.files.history()
    except UserError as error:
        yield str(error)
        return
    sealed = record.get("history_sha256")
    if sealed is not None and sealed != file_checksum(run.files.history_path):
        yield "history.jsonl was changed after the record was closed"
    if not record.finished:
        return
    if not rows:
        yield "finished, but history.jsonl has no row"
        return
    if rows[-1]["update"] > record["updates"]:
        yield f"history.jsonl goes to update {rows[-1]['update']:,}, the record to {record['updates']:,}"
    yield from _losses(record, rows)


def _losses(record: Record, rows: list[dict[str, Any]]) -> Iterator[str]:
    metrics = record["metrics"]
    trained = [row["loss"] for row in rows if row["split"] == "train" and row.get("loss") is not None]
    if trained and metrics.get("train_loss") is not None and metrics["train_loss"] != trained[-1]:
        yield f"train_loss is {metrics['train_loss']:.6g}, the history's last is {trained[-1]:.6g}"
    validated = [row["loss"] for row in rows if row["split"] == "valid" and row.get("loss") is not None]
    final = metrics.get("valid_loss")
    if validated and final is not None and all(abs(final - loss) > TOLERANCE * abs(loss) for loss in validated):
        yield f"valid_loss is {final:.6g}, and no validation in history.jsonl came near it"


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    for name, perplexity in metrics.items():
        loss = metrics.get(name.replace("perplexity", "loss")) if "perplexity" in name else None
        if loss is None or perplexity is None or loss > 700:
            continue
        if not math.isclose(perplexity, math.exp(loss), rel_tol=1e-6):
            yield f"{name} is {perplexity:.6g}, but its loss gives {math.exp(loss):.6g}"

"""What a run leaves behind: its folder, its record and its history.

``history.jsonl``, keyed by update, is the truth about a run; ``record.json`` is its summary; a tracker is a view of
both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.core.locks import holder_of, is_locked
from experiments.runs.locks import hold
from experiments.util.errors import UserError
from experiments.util.files import (
    FIELD,
    cut_torn_line,
    file_checksum,
    finite,
    read_history,
    record_checksum,
    remove_partials,
    write_atomically,
)

SCHEMA = 1
CLOSING_FIELDS = {
    *("tokens", "sentences", "images", "tokens_per_second", "images_per_second"),
    *("peak_memory_bytes", "parameters", "model_flops_utilization"),
}
STATUSES = ("running", "finished", "failed", "interrupted")


class Record(dict[str, Any]):
    """The content of a ``record.json``, and the folder it was read from."""

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.folder = folder

    @property
    def finished(self) -> bool:
        return self["status"] == "finished"


class RunFolder:
    """``results/runs/<experiment>/<encoding>-<hash8>/seed<k>/`` and the files in it.

    Only one process writes: take :meth:`lock` first, then :meth:`begin`, :meth:`append`, :meth:`close`, and later
    :meth:`add_metrics`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config_path = self.path / "config.yaml"
        self.record_path = self.path / "record.json"
        self.history_path = self.path / "history.jsonl"
        self.checkpoints = self.path / "checkpoints"

    def __fspath__(self) -> str:
        return str(self.path)

    def lock(self, wait: bool = False) -> AbstractContextManager[None]:
        """Hold the run for this process; its end, however violent, releases it.

        With ``wait``, a run that another process holds is waited for, and its holder said once.

        Raises:
            UserError: another process holds it; the message names host and process.
        """
        return hold(self.path, wait)

    def held(self) -> bool:
        """Whether a process holds the run now. A record that says running while nobody does is a killed run's."""
        return is_locked(self.path)

    def holder(self) -> str:
        """Who holds the run, for a person: process and host."""
        return holder_of(self.path)

    def load(self) -> Record | None:
        """The record as it stands, or None before the first :meth:`begin`."""
        return load_record(self.path)

    def finished(self) -> Record | None:
        """The record of a run that is finished, else None."""
        record = self.load()
        return record if record is not None and record.finished else None

    def write_config(self, text: str) -> None:
        write_atomically(self.config_path, text)

    def begin(
        self,
        run: Mapping[str, Any],
        *,
        manifest: Mapping[str, Any],
        from_update: int = 0,
        parameters: Mapping[str, int] | None = None,
    ) -> Record:
        """Open a segment at the checkpoint's update (0: from the start) and write the record as running.

        A segment that a killed process left open is closed at its last sign of life, and the history after the
        checkpoint is dropped: the resumed run writes those updates again.

        Raises:
            UserError: the run is finished; a finished record is never replaced.
        """
        self._refuse_finished("begun again")
        remove_partials(self.path)
        previous = self.load()
        segments = [dict(segment) for segment in previous["segments"]] if previous else []
        if segments and segments[-1]["ended"] is None:
            self._close_abandoned(segments[-1])
        self.truncate_history(from_update)
        segments.append(
            {"started": now(), "ended": None, "from_update": from_update, "to_update": None, "seconds": None}
        )
        record = {
            "schema": SCHEMA,
            "status": "running",
            "run": dict(run),
            "metrics": {},
            "parameters": dict(parameters or (previous or {}).get("parameters") or {}),
            "peak_memory_bytes": None,
            "wall_seconds": _total_seconds(segments),
            "updates": from_update,
            "segments": segments,
            "error": None,
            "history_sha256": None,
            "manifest": dict(manifest),
        }
        return self._write(record)

    def close(
        self,
        status: str,
        *,
        to_update: int,
        metrics: Mapping[str, float] | None = None,
        error: str | None = None,
        **fields: Any,
    ) -> Record:
        """End the open segment with ``finished``, ``failed`` or ``interrupted``.

        ``fields`` replaces or adds others of the record (:data:`CLOSING_FIELDS`). Raises ValueError for a status or a
        field that a record does not have.
        """
        if status not in STATUSES[1:]:
            raise ValueError(f"status={status!r}: expected one of {', '.join(STATUSES[1:])}")
        self._refuse_finished(f"marked {status}")
        record = self.load()
        if record is None or not record["segments"] or record["segments"][-1]["ended"] is not None:
            raise ValueError(f"{self.record_path}: no open segment to close; call begin() first")
        if unknown := sorted(set(fields) - CLOSING_FIELDS):
            raise ValueError(f"{unknown[0]}={fields[unknown[0]]!r}: a record has no such field")
        segment = record["segments"][-1]
        segment.update(ended=now(), to_update=to_update)
        segment["seconds"] = _seconds(segment)
        record.update(fields, status=status, updates=to_update, error=error)
        record["history_sha256"] = file_checksum(self.history_path)
        record["wall_seconds"] = _total_seconds(record["segments"])
        record["metrics"] = {**record["metrics"], **(metrics or {})}
        return self._write(record)

    def add_metrics(self, metrics: Mapping[str, float]) -> Record:
        """Add what was measured on a finished run's checkpoint later, e.g. at another length; nothing is replaced.

        Raises:
            ValueError: the run is not finished, or has one of the metrics with another value.
        """
        record = self.load()
        if record is None or not record.finished:
            raise ValueError(f"{self.record_path}: only a finished run can be measured further")
        added = finite(metrics)
        for name, value in added.items():
            known = record["metrics"].get(name, value)
            if known != value:
                raise ValueError(f"{self.record_path}: {name} is {known}, and now {value} was measured")
        return self._write({**record, "metrics": {**record["metrics"], **added}})

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row to the history, flushed; a number that is not finite is written as null."""
        cut_torn_line(self.history_path)
        self.path.mkdir(parents=True, exist_ok=True)
        line = json.dumps(finite(row), allow_nan=False) + "\n"
        with open(self.history_path, "a", encoding="utf-8") as file:
            file.write(line)

    def history(self) -> list[dict[str, Any]]:
        """All rows, sorted by update; of several rows for one update and split the last counts."""
        return read_history(self.history_path)

    def truncate_history(self, update: int) -> None:
        """Drop the rows after ``update`` (the checkpoint's), in one step."""
        if self.history_path.exists():
            kept = [json.dumps(row) + "\n" for row in self.history() if row["update"] <= update]
            write_atomically(self.history_path, "".join(kept))

    def _refuse_finished(self, what: str) -> None:
        record = self.load()
        if record is not None and record.finished:
            raise UserError(f"{self.path} is finished and cannot be {what}; move the folder away to train it anew")

    def _write(self, record: Mapping[str, Any]) -> Record:
        content = finite(record)
        content[FIELD] = record_checksum(content)
        write_atomically(self.record_path, json.dumps(content, indent=2, allow_nan=False) + "\n")
        return Record(self.path, content)

    def _close_abandoned(self, segment: dict[str, Any]) -> None:
        seen = self.history_path.stat().st_mtime if self.history_path.exists() else 0.0
        ended = max(datetime.fromtimestamp(seen, UTC), datetime.fromisoformat(segment["started"]))
        updates = [row["update"] for row in self.history()]
        segment.update(ended=ended.isoformat(), to_update=max([*updates, segment["from_update"]]))
        segment["seconds"] = _seconds(segment)


def load_record(folder: Path | str) -> Record | None:
    """The record in a run folder, or None where there is none.

    Raises:
        UserError: it cannot be read, or a newer version of the project wrote it.
    """
    path = Path(folder) / "record.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a readable record ({error}); move the folder away") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or content.get("status") not in STATUSES:
        raise UserError(f"{path}: expected a record of schema {SCHEMA} with a status of {', '.join(STATUSES)}")
    return Record(Path(folder), content)


def shown_metrics(metrics: Mapping[str, float | None]) -> str:
    """The metrics that a person wants to read at a run's end: everything but the losses, or these where that is all."""
    known = {name: value for name, value in metrics.items() if value is not None}
    chosen = {name: value for name, value in known.items() if not name.endswith("loss")} or known
    return ", ".join(
        f"{name.replace('_', ' ')} {value:.2f}" if "perplexity" in name else f"{name.replace('_', ' ')} {value:.4f}"
        for name, value in chosen.items()
    )


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _seconds(segment: Mapping[str, Any]) -> float:
    span = datetime.fromisoformat(segment["ended"]) - datetime.fromisoformat(segment["started"])
    return max(0.0, round(span.total_seconds(), 3))


def _total_seconds(segments: list[dict[str, Any]]) -> float:
    return round(sum(segment["seconds"] or 0.0 for segment in segments), 3)

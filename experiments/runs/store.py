"""Every run folder below a results root, broken ones included, and what state each is in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.runs.records import STATUSES, Record, RunFolder, load_record
from experiments.util.errors import UserError
from experiments.util.plain_yaml import read_mapping

# A record's status, and what only a look at the folder tells: `dead` says running and nobody holds its lock (it was
# killed; the same command resumes it), `broken` has no readable record.
STATES = (*STATUSES, "dead", "broken")
# What a record may hold beside its metrics; families count in units of their own.
NUMBERS = (
    "updates", "tokens", "sentences", "images", "tokens_per_second", "images_per_second", "peak_memory_bytes",
    "wall_seconds",
)  # fmt: skip
KEYS = ("experiment", "encoding", "protocol", "profile", "data", "seed", "identity")
_TYPES: dict[str, Any] = {
    "run": dict,
    "metrics": dict,
    "parameters": dict,
    "manifest": dict,
    "segments": list,
    "updates": int,
    "wall_seconds": int | float,
    "peak_memory_bytes": int | float | None,
    **dict.fromkeys(("tokens_per_second", "images_per_second"), int | float | None),
    **dict.fromkeys(("tokens", "sentences", "images"), int | None),
    "error": str | None,
}
_SEED = re.compile(r"seed(\d+)$")


@dataclass(frozen=True)
class StoredRun:
    """One run folder; ``record`` is None, and ``problem`` says why, where it has no readable record."""

    folder: Path
    record: Record | None
    problem: str | None = None

    @cached_property
    def state(self) -> str:
        """One of :data:`STATES`."""
        if self.record is not None and self.record["status"] != "running":
            return str(self.record["status"])
        if self.files.held():
            return "running"
        return "broken" if self.record is None else "dead"

    @cached_property
    def keys(self) -> dict[str, str]:
        """What a run is called by (:data:`KEYS`), as text: from the record, else from the folder's place."""
        encoding, _, identity = self.folder.parent.name.rpartition("-")
        seed = _SEED.match(self.folder.name)
        place = {
            "experiment": self.folder.parent.parent.name,
            "encoding": encoding,
            "seed": seed.group(1) if seed else "",
            "identity": identity,
        }
        known = {**place, **(self.record["run"] if self.record is not None else {})}
        return {key: str(known.get(key, "")) for key in KEYS}

    @property
    def name(self) -> str:
        """``<encoding>-<identity>/seed<k>``, which names a run in a store."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def files(self) -> RunFolder:
        return RunFolder(self.folder)

    @property
    def metrics(self) -> dict[str, float | None]:
        return dict(self.record["metrics"]) if self.record is not None else {}

    def config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            UserError: ``config.yaml`` is missing or cannot be read.
        """
        return read_mapping(self.files.config_path)

    def config_or_nothing(self) -> dict[str, Any]:
        try:
            return self.config()
        except UserError:
            return {}


def run_folders(results: Path | str, experiment: str = "*") -> list[Path]:
    """Every run folder below ``<results>/runs``, of one experiment or of all, in order."""
    folders = Path(results, "runs").glob(f"{experiment}/*/seed*")
    return sorted((path for path in folders if path.is_dir() and _SEED.match(path.name)), key=_order)


def scan(results: Path | str, experiment: str = "*") -> list[StoredRun]:
    """The runs in :func:`run_folders`; none is left out for being broken."""
    return [open_run(folder) for folder in run_folders(results, experiment)]


def open_run(folder: Path) -> StoredRun:
    """One run folder as it stands."""
    try:
        record = load_record(folder)
    except UserError as error:
        return StoredRun(folder, None, str(error))
    if record is None:
        return StoredRun(folder, None, f"{folder}/record.json is missing")
    if fault := _fault(record):
        return StoredRun(folder, None, f"{folder}/record.json has no readable '{fault}'")
    return StoredRun(folder, record)


def _fault(record: Record) -> str | None:
    """What a record lacks, or has with another type, of all that every record has; only an edit makes either."""
    for key, kinds in _TYPES.items():
        if not isinstance(record.get(key), kinds) or isinstance(record.get(key), bool):
            return key
    for key, kind in {"experiment": str, "encoding": str, "seed": int, "identity": str}.items():
        if not isinstance(record["run"].get(key), kind):
            return f"run.{key}"
    for name, value in record["metrics"].items():
        if not isinstance(value, int | float | None):
            return f"metrics.{name}"
    started = [segment.get("started") if isinstance(segment, dict) else None for segment in record["segments"]]
    return None if all(_is_time(moment) for moment in started) else "segments"


def _is_time(moment: Any) -> bool:
    try:
        return datetime.fromisoformat(moment) is not None
    except (TypeError, ValueError):
        return False


def _order(folder: Path) -> tuple[str, str, int]:
    return folder.parent.parent.name, folder.parent.name, int(folder.name.removeprefix("seed"))

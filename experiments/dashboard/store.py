"""The runs below a results folder, read once and then again only where their files changed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.dashboard.curves import Curve, curves_of
from experiments.dashboard.settings import manifest_settings, read_config
from experiments.runs.records import RunFolder, load_record
from experiments.runs.store import run_folders
from experiments.util.errors import UserError

FILES = ("record.json", "config.yaml", "history.jsonl")
UNREADABLE = "unreadable"  # beside a record's own statuses


@dataclass(frozen=True)
class Run:
    """One run folder as last read.

    Attributes:
        path: below the results folder, with slashes.
        status: the record's, or ``unreadable``.
        record: the record without its manifest; of an unreadable one what the path says.
        settings: config and manifest as flat keys.
        curves: the history by split.
        seen: when the history was last written, ISO 8601 in UTC, or None where there is none.
        problems: what could not be read, in words.
    """

    path: str
    status: str
    record: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    seen: str | None = None
    problems: tuple[str, ...] = ()


class RunStore:
    """What :meth:`refresh` found below ``<results>/runs``.

    Attributes:
        runs: by path, sorted.
        version: grows with every refresh that found a change.
        identity: tells this store's versions from another one's.
    """

    def __init__(self, results: Path | str) -> None:
        self.results = Path(results)
        self.runs: dict[str, Run] = {}
        self.version = 0
        self.identity = secrets.token_hex(4)
        self._stamps: dict[str, tuple[Any, ...]] = {}
        self._changed: dict[str, int] = {}

    def refresh(self) -> bool:
        """Read what is new or changed, forget what is gone; true where there was anything."""
        recorded = (folder for folder in run_folders(self.results) if (folder / "record.json").is_file())
        folders = {folder.relative_to(self.results).as_posix(): folder for folder in recorded}
        stamps = {path: _stamp(folder) for path, folder in folders.items()}
        gone = self.runs.keys() - folders.keys()
        changed = [path for path, stamp in stamps.items() if self._stamps.get(path) != stamp]
        if not gone and not changed:
            return False
        self.version += 1
        for path in changed:
            self.runs[path] = read_run(folders[path], path)
        for path in gone:
            del self.runs[path]
        self._changed |= dict.fromkeys([*changed, *gone], self.version)
        self._stamps = stamps
        self.runs = dict(sorted(self.runs.items()))
        return True

    def since(self, version: int) -> tuple[list[Run], list[str]]:
        """The runs that changed after ``version``, and the paths of those that went away after it."""
        later = [path for path, changed in self._changed.items() if changed > version]
        runs = [self.runs[path] for path in sorted(later) if path in self.runs]
        return runs, sorted(path for path in later if path not in self.runs)


def read_run(folder: Path, path: str) -> Run:
    """Everything a run folder says; what cannot be read becomes a problem of this run and not an error of all."""
    files, problems = RunFolder(folder), []
    try:
        record = load_record(folder)
    except (UserError, OSError) as error:
        return Run(path, UNREADABLE, {"run": _named_by(folder)}, problems=(str(error),))
    if record is None:  # removed since it was listed
        return Run(path, UNREADABLE, {"run": _named_by(folder)}, problems=(f"{folder}: the record is gone",))
    settings, history = {}, []
    try:
        settings = read_config(files.config_path)
    except UserError as error:
        problems.append(str(error))
    try:
        history = files.history()
    except (UserError, OSError) as error:
        problems.append(str(error))
    manifest = record.get("manifest") or {}
    return Run(
        path,
        record["status"],
        {key: value for key, value in record.items() if key != "manifest"},
        settings | manifest_settings(manifest),
        curves_of(history, record.get("segments") or ()),
        _last_written(files.history_path),
        tuple(problems),
    )


def _stamp(folder: Path) -> tuple[Any, ...]:
    """Changes whenever one of the files does: a record is replaced by a new file, a history grows."""
    stamps: list[Any] = []
    for name in FILES:
        try:
            found = (folder / name).stat()
            stamps.append((found.st_ino, found.st_mtime_ns, found.st_size))
        except OSError:
            stamps.append(None)
    return tuple(stamps)


def _named_by(folder: Path) -> dict[str, Any]:
    encoding, _, identity = folder.parent.name.rpartition("-")
    seed = folder.name.removeprefix("seed")
    return {
        "experiment": folder.parent.parent.name,
        "encoding": encoding or identity,
        "identity": identity,
        "seed": int(seed) if seed.isdecimal() else seed,
    }


def _last_written(path: Path) -> str | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return None

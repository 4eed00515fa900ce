"""wandb as a view of a run: it never prompts, never prints, and never stops training.

``history.jsonl`` is the truth. One (config, seed) is one wandb run, with an id that follows from both; a resumed run
continues the same curve. Online, the server keeps what it has and is sent what it lacks. Offline runs of wandb cannot
be resumed, so a resumed run opens a new segment, replays the history up to its checkpoint and moves the older segments
to ``wandb/superseded/``: one ``wandb sync`` yields one whole curve.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from experiments.errors import UserError, nearest
from experiments.files import read_history
from experiments.wandb_setup import errors_of, has_credentials, init_run, mode_from_environment, teardown

MODES = ("auto", "wandb", "offline", "disabled")
_AXES = ("update", "tokens", "sentences", "images", "epoch")


def say_on_stderr(message: str) -> None:
    print(f"tracking: {message}", file=sys.stderr)


class Tracker:
    """The tracker of one run; use it as a context manager, so that the wandb run is always finished."""

    def __init__(self, run: Any, wandb: ModuleType | None, say: Callable[[str], None]) -> None:
        self._run = run
        self._wandb = wandb
        self._errors = errors_of(wandb) if wandb else ()
        self._say = say
        self._first_update = 0

    @classmethod
    def start(
        cls,
        mode: str,
        folder: Path | str,
        config: Mapping[str, Any],
        record: Mapping[str, Any],
        resume_update: int | None = None,
        say: Callable[[str], None] = say_on_stderr,
    ) -> Self:
        """Open (or continue) the wandb run of ``record["run"]`` below ``folder``.

        ``mode``: ``auto`` (``WANDB_MODE`` where it is set; else online where wandb has credentials, else offline),
        ``wandb`` (online), ``offline``, ``disabled`` (wandb is not imported). Ranks other than 0 track nothing.
        ``resume_update`` is the checkpoint's update; rows of ``history.jsonl`` up to it are replayed.

        Raises:
            UserError: an unknown mode, or ``wandb`` without credentials. Anything that wandb itself raises is said
                once, and tracking goes on offline, or ends.
        """
        if mode not in MODES:
            raise UserError(f"tracker.mode={mode}: expected one of {', '.join(MODES)}{nearest(mode, MODES)}")
        chosen = mode_from_environment() or mode if mode == "auto" else mode
        if chosen == "disabled" or int(os.environ.get("RANK", "0")) != 0:
            return cls(None, None, say)
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        if chosen in ("auto", "wandb") and not has_credentials(wandb):
            if mode == "wandb":
                raise UserError(
                    "tracker=wandb needs credentials: run  wandb login , set WANDB_API_KEY, or tracker=offline"
                )
            if chosen == "wandb":
                say("WANDB_MODE asks for online tracking, but wandb has no credentials; tracking offline")
            chosen = "offline"
        tracker = cls(None, wandb, say)
        tracker._open(Path(folder), config, record, online=chosen != "offline", resume_update=resume_update or 0)
        return tracker

    @property
    def active(self) -> bool:
        """Whether rows still reach wandb."""
        return self._run is not None

    def log(self, row: Mapping[str, Any]) -> None:
        """Send one row of the history: ``<split>/<name>`` for every number, against ``update``."""
        if self._run is None or row["update"] < self._first_update:
            return
        try:
            # With its update as the step, a row that the server has already is not doubled when a run is resumed.
            self._run.log(as_wandb_row(row), step=row["update"])
        except self._errors as error:
            self._lose(error)

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Close the run as finished, with the final metrics (nested names are joined by ``/``) as its summary."""
        self._close({"status": "finished", **(summary or {})}, exit_code=0)

    def fail(self, error: str, status: str = "failed") -> None:
        """Close the run as ``failed`` or ``interrupted``."""
        self._close({"status": status, "error": error}, exit_code=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            stopped = issubclass(kind, (KeyboardInterrupt, SystemExit))
            self.fail(f"{kind.__name__}: {error}", status="interrupted" if stopped else "failed")

    def _open(
        self, folder: Path, config: Mapping[str, Any], record: Mapping[str, Any], *, online: bool, resume_update: int
    ) -> None:
        run_id = wandb_id(record)
        history = [row for row in read_history(folder / "history.jsonl") if row["update"] <= resume_update]
        try:
            self._run = init_run(self._wandb, folder, config, record, run_id, online)
            self._first_update = int(self._run.step) if online else 0
            for name in _AXES:
                self._run.define_metric(name)
            for split in ("train", "valid"):
                self._run.define_metric(f"{split}/*", step_metric="update")
            for row in history:
                self.log(row)
            if self._run is not None:
                _supersede(folder / "wandb", run_id, keep=Path(self._run.dir).parent)
        except self._errors as error:
            self._run = None
            teardown(self._wandb, self._errors)
            if not online:
                self._say(f"wandb failed ({_brief(error)}); training goes on, history.jsonl keeps every row")
                return
            self._say(f"wandb cannot be reached ({_brief(error)}); tracking offline")
            self._open(folder, config, record, online=False, resume_update=resume_update)

    def _close(self, summary: Mapping[str, Any], exit_code: int) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.summary.update(_flat(summary))
            run.finish(exit_code=exit_code)
        except self._errors as error:
            where = Path(run.dir).parent
            self._say(f"not everything reached wandb ({_brief(error)}); send the rest with: wandb sync {where}")
            teardown(self._wandb, self._errors)

    def _lose(self, error: BaseException) -> None:
        self._run = None
        self._say(f"wandb is lost ({_brief(error)}); training goes on, history.jsonl keeps every row")
        teardown(self._wandb, self._errors)


def wandb_id(record: Mapping[str, Any]) -> str:
    """The id that a config and a seed have, now and when they are resumed: ``<identity>-seed<k>``."""
    return f"{record['run']['identity']}-seed{record['run']['seed']}"


def as_wandb_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the history under wandb's names; numbers that are missing or were not finite are left out."""
    named = {name: row[name] for name in _AXES if row.get(name) is not None}
    for name, value in row.items():
        if name not in (*_AXES, "split") and value is not None:
            named[f"{row['split']}/{name}"] = value
    return named


def offline_segments(folder: Path | str) -> list[Path]:
    """The offline runs of wandb in a run folder that are current and not yet synchronised."""
    segments = sorted((Path(folder) / "wandb").glob("offline-run-*"))
    return [segment for segment in segments if not any(segment.glob("*.synced"))]


def _supersede(root: Path, run_id: str, keep: Path) -> None:
    for segment in [*root.glob(f"offline-run-*-{run_id}"), *root.glob(f"run-*-{run_id}")]:
        if segment.resolve() != keep.resolve():
            (root / "superseded").mkdir(exist_ok=True)
            segment.rename(root / "superseded" / segment.name)


def _flat(summary: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in summary.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}/"))
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def _brief(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]

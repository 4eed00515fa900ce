"""Which checkpoint a command was asked for."""

from __future__ import annotations

from pathlib import Path

from experiments.util.errors import UserError

BEST = Path("checkpoints", "checkpoint_best.pt")


def is_exported(path: Path) -> bool:
    """Whether a path is a folder with a model of its own (``experiments.export``), whatever format it turns out to be
    of, and not a run's."""
    return (path / "config.json").is_file()


def checkpoint_path(run: str | None, checkpoint: str | None) -> Path:
    """The file meant by ``run=`` or ``checkpoint=``, either of which may be an exported folder instead.

    Raises:
        UserError: neither or both were given, or there is no such file.
    """
    if (run is None) == (checkpoint is None):
        raise UserError("give either run=<run folder> or checkpoint=<file.pt or exported folder>")
    path = Path(checkpoint or run or "")
    if is_exported(path):
        return path
    if run is not None:
        path = path / BEST
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}; give the folder of a finished run, or of an exported model")
    return path

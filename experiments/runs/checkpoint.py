"""Which checkpoint a command was asked for."""

from __future__ import annotations

from pathlib import Path

from experiments.util.errors import UserError


def checkpoint_path(run: str | None, checkpoint: str | None) -> Path:
    """The file meant by ``run=`` or ``checkpoint=``.

    Raises:
        UserError: neither or both were given.
    """
    if (run is None) == (checkpoint is None):
        raise UserError("give either run=<run folder> or checkpoint=<file.pt>")
    return Path(checkpoint) if checkpoint else Path(run or "") / "checkpoints" / "checkpoint_best.pt"

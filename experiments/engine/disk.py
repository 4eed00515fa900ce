"""The disk below a run: room for what it writes, asked for before it starts, and what a person reads when it fails."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from experiments.util.errors import UserError, remedy_of

# At the fullest moment, beside those that engine.keep_checkpoints keeps: the best, the last where a stop or an epoch's
# end wrote it, and the one that is being written. A name more for the same checkpoint is a hard link and takes no room.
CHECKPOINTS_AT_ONCE = 3
CHECKPOINT_OVERHEAD = 1 << 18  # fairseq's config, meters and the archive's index
ROW_BYTES = 1 << 11  # of history.jsonl
# A run stops while its record can still be closed.
RESERVE = 1 << 20


def bytes_needed(checkpoint: int, keep_checkpoints: int, rows: int) -> int:
    """Most that a run has on its disk at once.

    Args:
        checkpoint: bytes of the tensors in one checkpoint.
        keep_checkpoints: ``engine.keep_checkpoints``.
        rows: of its history.
    """
    checkpoints = CHECKPOINTS_AT_ONCE + keep_checkpoints
    return checkpoints * (checkpoint + CHECKPOINT_OVERHEAD) + rows * ROW_BYTES + RESERVE


def check_space(folder: Path, needed: int) -> None:
    """Refuse a run whose disk cannot take it; the checkpoints that it has in ``folder`` count as room.

    Raises:
        UserError: naming the disk, what it has and what is needed.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    missing = needed - bytes_below(folder)
    if (free := _free(existing)) < missing:
        raise UserError(
            f"{existing} has {free / 2**30:.2f} GiB free and this run needs {missing / 2**30:.2f} GiB for its "
            "checkpoints: make room, or set paths.results (LRPE_RESULTS) to another disk"
        )


def check_reserve(folder: Path) -> None:
    """Stop a run before its disk is full.

    Raises:
        OSError: less than :data:`RESERVE` is left.
    """
    if _free(folder) < RESERVE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def bytes_below(folder: Path) -> int:
    """What the files below a folder take, each once however many names it has."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())


@contextmanager
def written_below(folder: Path, name: str) -> Iterator[None]:
    """What the disk of a run's folder refuses inside, as one message for a person.

    Raises:
        UserError: naming the folder, the disk's reason and the remedy.
    """
    try:
        yield
    except OSError as error:
        remedy = f": {advice}" if (advice := remedy_of(error)) else ""
        raise UserError(
            f"{name} in {folder}: {error}{remedy}. What is there is intact; the same command goes on"
        ) from error


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free

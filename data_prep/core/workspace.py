"""Folders that appear whole or not at all: a lock, a partial folder, one rename."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_prep.core.errors import DataError
from data_prep.core.locks import locked
from data_prep.core.manifest import FILE, files_below, is_own

_LEFT_BEHIND = re.compile(r"\.(partial|replaced)-(\d+)$")


@contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Let one process at a time prepare ``target``; the others wait, and say so."""

    def say(by: str) -> None:
        print(f"{target.name}: {by} prepares {target}; waiting for it", file=sys.stderr, flush=True)

    with locked(target.with_name(f".{target.name}"), wait=say):
        yield


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it becomes ``target`` if the ``with`` block ends well, and is removed if not.

    Must be entered under :func:`exclusive`: what dead processes left of earlier attempts is removed first.

    Raises:
        DataError: ``target`` exists and holds something that was not prepared here.
    """
    remove_left_behind(target)
    refuse_foreign(target)
    partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        yield partial
        _flush(partial)
        replaced = target.with_name(f"{target.name}.replaced-{os.getpid()}")
        if target.exists():
            target.rename(replaced)
        try:
            partial.rename(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _flush(folder: Path) -> None:
    """On disk before the rename: a loss of power leaves the old folder or the whole new one."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_foreign(target: Path) -> None:
    """Never replace what was not prepared here.

    Raises:
        DataError: ``target`` is a file, or a folder that holds other files than a prepared one.
    """
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{target} is in the way: it is a file, and the prepared folder goes there")
    names = files_below(target)
    foreign = [name for name in names if not is_own(name)]
    if foreign or (names and not (target / FILE).exists()):
        found = f"holds {foreign[0]}" if foreign else f"has no {FILE}"
        raise DataError(f"{target} {found}, so it was not prepared here: move it away, or choose another --out")


def remove_left_behind(target: Path) -> None:
    """Remove, or put back, what processes that are no longer alive left beside ``target``.

    Under the lock nobody else prepares ``target`` on this machine, so a number that is in use belongs to a stranger,
    except our own and, on a shared disk without working locks, another machine's: a live number is therefore left.
    """
    for path in target.parent.glob(f"{target.name}.*-*"):
        found = _LEFT_BEHIND.search(path.name)
        if found and path.name.startswith(f"{target.name}.{found[1]}-") and not _alive(int(found[2])):
            if found[1] == "replaced" and not target.exists():
                path.rename(target)  # it died between the two renames: the old data is still good
            else:
                shutil.rmtree(path, ignore_errors=True)


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a folder of ours from an earlier life of the same number
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_disk(folder: Path, needed: int) -> None:
    """Refuse to start what the disk cannot hold.

    Raises:
        DataError: names the folder, what is free and what is needed.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DataError(
            f"{existing} has {free / 2**20:,.0f} MiB free and the preparation needs about {needed / 2**20:,.0f} MiB: "
            "make room, or choose another disk with --out or LRPE_DATA"
        )

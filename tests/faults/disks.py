"""Small disks in memory, and what fills them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from experiments.util.files import file_checksum
from tests.faults.moments import Moment

FILLER = "filler"


@contextmanager
def small_disk(folder: Path, size: int = 16 << 20) -> Iterator[Path]:
    """A tmpfs of ``size`` bytes at ``folder``; the test is skipped where none can be mounted."""
    folder.mkdir(parents=True)
    if shutil.which("mount") is None:
        pytest.skip("no mount command here")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, mode: str) -> None:
    """``ro`` or ``rw``: root may write whatever the permissions, but not on what is mounted to be read only."""
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


def fill(disk: Path) -> None:
    with open(disk / FILLER, "ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))


def make_room(disk: Path) -> None:
    (disk / FILLER).unlink()


def checksums(disk: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(disk)): file_checksum(path) for path in disk.rglob(pattern) if path.is_file()}


@dataclass(frozen=True)
class FullDisk(Moment):
    """``disk`` has no byte left from this moment on; ``noted`` gets the checksums of the checkpoints on it."""

    disk: Path = field(kw_only=True)
    noted: Path = field(kw_only=True)

    def strike(self) -> None:
        self.noted.write_text(json.dumps(checksums(self.disk, "*.pt")))
        fill(self.disk)


@dataclass(frozen=True)
class Peak:
    """Notes the most bytes in use on ``disk``, just before and after each file that was written whole gets its name."""

    disk: Path
    noted: Path

    def wait(self) -> None:
        replace, most = os.replace, [0]

        def measured(source: str, target: str) -> None:
            self._note(most)
            replace(source, target)
            self._note(most)

        os.replace = measured

    def _note(self, most: list[int]) -> None:
        most[0] = max(most[0], shutil.disk_usage(self.disk).used)
        self.noted.write_text(str(most[0]))

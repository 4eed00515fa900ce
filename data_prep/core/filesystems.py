"""What file system a folder lies on, and whether its locks hold between hosts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# One kernel alone mounts these, so that its flock is the whole truth.
LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "ramfs", "overlay", "apfs")
# These pass flock on to their servers whatever the mount options.
CLUSTER = ("ceph", "gpfs", "ocfs2", "gfs2")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class FileSystem:
    """``kind`` as in /proc/self/mountinfo ("nfs4"), ``mount`` its mount point, ``options`` the mount's and the file
    system's."""

    kind: str
    mount: str
    options: frozenset[str] = frozenset()

    @property
    def flock_is_shared(self) -> bool:
        """Whether a flock taken on one host is known to exclude the others.

        NFS passes flock on unless mounted with ``nolock`` or ``local_lock=flock`` or ``=all``; Lustre does with
        ``flock`` only (not ``localflock`` or ``noflock``). What is not known here is not trusted.
        """
        if self.kind in (*LOCAL, *CLUSTER):
            return True
        if self.kind in ("nfs", "nfs4"):
            return not self.options & {"nolock", "local_lock=all", "local_lock=flock"}
        return self.kind == "lustre" and "flock" in self.options

    def __str__(self) -> str:
        return f"{self.kind} file system at {self.mount}"


def file_system_of(folder: Path) -> FileSystem:
    """The file system of an existing folder; "unknown" where the kernel does not list its mounts."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return FileSystem("unknown", str(folder))
    place = folder.resolve()
    found = FileSystem("unknown", str(folder))
    longest = -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if len(fields) < 6 or len(rest) < 3:
            continue
        mount = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
        # the last of several mounts on one point hides the others
        if place.is_relative_to(mount) and len(mount) >= longest:
            longest = len(mount)
            found = FileSystem(rest[0], mount, frozenset((*fields[5].split(","), *rest[2].split(","))))
    return found

"""Files that survive a kill: written whole or not at all, or a line at a time."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from experiments.util.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` where the block ends well and is removed where it does not: a
    reader sees ``path`` either as it was or whole, even where the writer is killed or power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        with suppress(OSError):  # of a disk that is gone; the reason is on its way up
            partial.unlink(missing_ok=True)
    # The rename itself is durable only once its folder is.
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) as :func:`replacing` does."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def partial_path(path: Path) -> Path:
    """What this process calls a file that is to become ``path``."""
    return path.with_name(f".{path.name}.partial-{os.getpid()}")


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half-written; only for who holds the folder's lock."""
    for leftover in folder.glob(".*.partial-*"):
        leftover.unlink(missing_ok=True)


def read_history(path: Path) -> list[dict[str, Any]]:
    """The rows of a history file; a last line that a killed writer left torn is not one.

    Raises:
        UserError: another line is not a row.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            rows[row["update"], row["split"]] = row
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f"{path}, line {number}: not a row of a history: {line[:80]!r}") from None
    return sorted(rows.values(), key=lambda row: row["update"])


def cut_torn_line(path: Path) -> None:
    """Drop what a killed writer left after the last whole line."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


FIELD = "sha256"


def record_checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of a record as canonical JSON (sorted keys, no spaces), without its own checksum."""
    content = {key: value for key, value in record.items() if key != FIELD}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_checksum(path: Path) -> str | None:
    """SHA-256 of a file's bytes, or None where there is no such file."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots; lists and empty mappings are values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat

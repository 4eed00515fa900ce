"""Checksums that a record carries, so that a later change of it or of its history is seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

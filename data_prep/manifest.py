"""What a prepared folder says of itself, and whether it still holds what it says."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.errors import DataError
from data_prep.text_source import SPLITS

SCHEMA = 1
FILE = "manifest.json"
# The files that prepared data of each kind can consist of; `kind` in a manifest, text where it is not named.
TEXT = ("dict.txt", *(f"{split}.{suffix}" for split in SPLITS for suffix in ("bin", "idx")))
IMAGES = ("classes.txt", *(f"{split}.arrow" for split in SPLITS))
PREPARED = frozenset({*TEXT, *IMAGES})


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_manifest(
    folder: Path,
    *,
    kind: str,
    name: str,
    counts: str,
    files: Sequence[str],
    identified: Mapping[str, Any] | None = None,
    **entries: Any,
) -> dict[str, Any]:
    """Describe the prepared files of ``folder``.

    ``identity`` is the SHA-256 over the name, the kind of counts and what identifies the data: the same data prepared
    by the same rules has it on every machine, wherever it came from.

    Args:
        kind: ``text`` or ``images``.
        counts: ``published`` (verified), ``other`` (verification waived) or ``none`` (nothing published to verify).
        files: names of the prepared files.
        identified: what identifies the data; the checksums of its files where None.
        entries: further entries of the manifest: ``splits`` (sizes of each), ``source`` (kind, id, revision, and more),
            ``rules`` (how the source became the prepared files), and those of the kind.
    """
    described = {file: {"bytes": (folder / file).stat().st_size, "sha256": sha256_of(folder / file)} for file in files}
    if identified is None:
        identified = {"files": {file: entry["sha256"] for file, entry in described.items()}}
    canonical = json.dumps({"name": name, "counts": counts, **identified}, sort_keys=True, separators=(",", ":"))
    return {
        "schema": SCHEMA,
        "kind": kind,
        "name": name,
        "identity": hashlib.sha256(canonical.encode()).hexdigest(),
        "counts": counts,
        **entries,
        "files": described,
        "python": platform.python_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``manifest.json``."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def load_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a prepared folder.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = Path(folder) / FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"no {path}: {folder} holds no prepared data; python -m data_prep.<name> prepares it") from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; prepare the data again with --force") from error
    if (
        not isinstance(manifest, dict)
        or manifest.get("schema") != SCHEMA
        or not isinstance(manifest.get("files"), dict)
    ):
        raise DataError(f"{path} is no manifest of schema {SCHEMA}; prepare the data again with --force")
    return manifest


def check(folder: Path | str, full: bool = False) -> dict[str, Any]:
    """Whether a prepared folder holds what its manifest says; returns the manifest.

    Args:
        folder: the prepared folder.
        full: compare SHA-256 as well as sizes (reads every byte).

    Raises:
        DataError: a file is missing or differs, named with what was found and expected.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    for file in required_files(manifest):
        path = folder / file
        expected = manifest["files"].get(file)
        if expected is None:
            raise DataError(f"{folder / FILE} does not name {file}; prepare the data again with --force")
        if not path.is_file():
            raise DataError(f"missing {path}; prepare the data again")
        if (found := path.stat().st_size) != expected["bytes"]:
            raise DataError(f"{path} has {found:,} bytes and its manifest says {expected['bytes']:,}; prepare it again")
        if full and (digest := sha256_of(path)) != expected["sha256"]:
            raise DataError(f"{path} has SHA-256 {digest} and its manifest says {expected['sha256']}; prepare it again")
    return manifest


def required_files(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that prepared data of a manifest's kind consists of."""
    if manifest.get("kind", "text") == "text":
        return TEXT
    return ("classes.txt", *(f"{split}.arrow" for split in manifest["splits"]))

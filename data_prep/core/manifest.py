"""What a prepared folder says of itself, and whether it still holds what it says."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data_prep.core.errors import DataError

SCHEMA = 1
FILE = "manifest.json"
SEAL = "sha256"  # of the manifest itself
READ_AT_MOST = 4 << 30  # bytes of an image file that is checked as a whole; each image carries a checksum of its own
# What a prepared folder may hold: of a corpus, of images, and, in folders of its own, of a sentence task.
_OWN = re.compile(
    r"manifest\.json|dict\.txt|encoder\.json|vocab\.bpe|(train|valid|test)\.(bin|idx)"
    r"|classes\.json|(train|valid|test)\.arrow"
    r"|(input0|input1|label)/(dict\.txt|\w+\.(bin|idx|label))|index/\w+\.txt"
)


_digests: dict[tuple[int, ...], str] = {}


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; a file that is asked for again in this process and did not change since
    is not read again."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        # The change time cannot be set back, as the modification time can.
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if state not in _digests:
            _digests[state] = hashlib.file_digest(file, "sha256").hexdigest()
    return _digests[state]


def files_below(folder: Path) -> list[str]:
    """Paths of all files below ``folder``, relative to it, with forward slashes, in order; without the manifest."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(path for path in found if path != FILE)


def is_own(path: str) -> bool:
    """Whether a file of this relative path may be part of a prepared folder."""
    return _OWN.fullmatch(path) is not None


def build_manifest(
    folder: Path,
    *,
    name: str,
    counts: str,
    splits: Mapping[str, Mapping[str, Any]],
    source: Mapping[str, Any],
    rules: Mapping[str, Any],
    vocabulary: Mapping[str, int] | None = None,
    identified: Mapping[str, Any] | None = None,
    described: Mapping[str, Any] | None = None,
    by_checksums: bool = True,
) -> dict[str, Any]:
    """Describe the prepared files of ``folder``.

    ``identity`` is the SHA-256 over the name, the kind of counts, the checksums of the prepared files and
    ``identified``: the same text prepared by the same rules has it on every machine, wherever it came from.

    Args:
        counts: ``published`` (verified), ``other`` (verification waived) or ``none`` (nothing published to verify).
        splits: of each split its sizes: tokens (one ``</s>`` a line), unknown tokens and their rate, and lines or
            rows; or images.
        source: kind, id, revision and files of the source.
        rules: how the source became the prepared files.
        vocabulary: of text: ``size`` of the dictionary and the ``words`` in it.
        identified: entries that the identity covers too.
        described: entries that it does not.
        by_checksums: False: the identity leaves out the checksums, since the same data may come in other bytes.
    """
    names = files_below(folder)
    files = {file: {"bytes": (folder / file).stat().st_size, "sha256": sha256_of(folder / file)} for file in names}
    checksums = {file: entry["sha256"] for file, entry in files.items()}
    content = {"name": name, "counts": counts, **(identified or {})}
    if by_checksums:
        content["files"] = checksums
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return {
        "schema": SCHEMA,
        "name": name,
        "identity": hashlib.sha256(canonical.encode()).hexdigest(),
        "counts": counts,
        **(identified or {}),
        **(described or {}),
        "splits": splits,
        **({"vocabulary": vocabulary["size"], "words": vocabulary["words"]} if vocabulary else {}),
        "rules": rules,
        "files": files,
        "source": source,
        "python": platform.python_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``manifest.json``, sealed by its own checksum."""
    text = json.dumps({**manifest, SEAL: _seal(manifest)}, indent=2, ensure_ascii=False) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8", errors="surrogateescape")


def _seal(manifest: Mapping[str, Any]) -> str:
    content = {key: value for key, value in manifest.items() if key != SEAL}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of a prepared folder.

    Raises:
        DataError: there is none, it cannot be read, or it is not as it was written.
    """
    path = Path(folder) / FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        raise DataError(f"no {path}: {folder} holds no prepared data; python -m data_prep.<name> prepares it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}; prepare the data again with --force") from error
    if (
        not isinstance(manifest, dict)
        or manifest.get("schema") != SCHEMA
        or not isinstance(manifest.get("files"), dict)
    ):
        raise DataError(f"{path} is no manifest of schema {SCHEMA}; prepare the data again with --force")
    if manifest.get(SEAL) != _seal(manifest):
        raise DataError(f"{path} was changed, or written by an earlier version; prepare the data again with --force")
    return manifest


def check(folder: Path | str) -> dict[str, Any]:
    """Whether a prepared folder holds what its manifest says, byte for byte; returns the manifest.

    Every file is read once a process: part of a second for WikiText-103, and the only way to see a flipped bit. Image
    files beyond :data:`READ_AT_MOST` are compared by size here, and image by image when these are loaded.

    Raises:
        DataError: a file is missing or differs, named with what was found and expected.
    """
    folder = Path(folder)
    manifest = load_manifest(folder)
    within, suffix = "input0/" if "task" in manifest else "", "arrow" if manifest.get("kind") == "images" else "bin"
    for split in manifest["splits"]:
        if (file := f"{within}{split}.{suffix}") not in manifest["files"]:
            raise DataError(f"{folder / FILE} does not name {file}; prepare the data again with --force")
    strangers = [name for name in files_below(folder) if name not in manifest["files"] and is_own(name)]
    if strangers:
        raise DataError(f"{folder / strangers[0]} is not of this data set (its manifest does not name it); remove it")
    for file, expected in manifest["files"].items():
        path = folder / file
        if not path.is_file():
            raise DataError(f"missing {path}; prepare the data again")
        if (found := path.stat().st_size) != expected["bytes"]:
            raise DataError(f"{path} has {found:,} bytes and its manifest says {expected['bytes']:,}; prepare it again")
        if suffix == "arrow" and found > READ_AT_MOST:
            continue
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; prepare the data again") from error
        if digest != expected["sha256"]:
            raise DataError(f"{path} has SHA-256 {digest} and its manifest says {expected['sha256']}; prepare it again")
    return manifest

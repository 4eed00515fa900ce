"""Where text comes from, as blocks of lines: memory stays flat, and damage is named by file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from data_prep.core.errors import DataError

SPLITS = ("train", "valid", "test")
BLOCK_BYTES = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LONGEST_LINE = 64 << 20


class TextSource(Protocol):
    """Three splits of text that can be read more than once."""

    def blocks(self, split: str) -> Iterator[list[str]]:
        """The lines of ``split`` in order, without their line ends, some thousands at a time."""
        ...

    def label(self, split: str) -> str:
        """What to call ``split`` in a message: the file's path, or the hub's name."""
        ...

    def size(self, split: str) -> int:
        """Bytes of text, an estimate where the truth is not known before reading."""
        ...

    def describe(self) -> dict[str, Any]:
        """The manifest's ``source`` entry; complete only after every split was read once."""
        ...


class LocalFiles:
    """Text files of one's own.

    A line ends with ``\\n`` or ``\\r\\n``; a last line without an end counts as a line, as it does for
    ``fairseq-preprocess``.

    Args:
        folder: where the files are.
        names: file name of each split.
        byte_order_mark: accept, and leave out, a mark at the start of a file.

    Raises:
        DataError: the folder or a file is not there.
    """

    def __init__(self, folder: Path, names: Mapping[str, str], byte_order_mark: bool = False) -> None:
        self.folder, self._names, self._byte_order_mark = folder, dict(names), byte_order_mark
        self.paths = {split: folder / name for split, name in names.items()}
        self._digests: dict[str, str] = {}
        expected = ", ".join(names.values())
        if not folder.is_dir():
            raise DataError(f"no folder {folder}: --source names a folder that holds {expected}")
        missing = [str(path) for path in self.paths.values() if not path.is_file()]
        if missing:
            raise DataError(f"missing {', '.join(missing)}: --source names a folder that holds {expected}")

    def blocks(self, split: str) -> Iterator[list[str]]:
        path = self.paths[split]
        digest = hashlib.sha256()
        line = 1
        try:
            with path.open("rb") as file:
                for block in _whole_lines(file.read, str(path)):
                    digest.update(block)
                    if self._byte_order_mark and line == 1:
                        block = block.removeprefix(BYTE_ORDER_MARK)
                    lines = decode_lines(block, str(path), line)
                    line += len(lines)
                    yield lines
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        if self._digests.setdefault(split, digest.hexdigest()) != digest.hexdigest():
            raise DataError(f"{path} changed while it was read; start again when it is complete")

    def label(self, split: str) -> str:
        return str(self.paths[split])

    def size(self, split: str) -> int:
        return self.paths[split].stat().st_size

    def describe(self) -> dict[str, Any]:
        files = {
            name: {"bytes": self.paths[split].stat().st_size, "sha256": self._digests[split]}
            for split, name in self._names.items()
        }
        return {"kind": "local", "id": str(self.folder.resolve()), "revision": None, "files": files}


def _whole_lines(read: Callable[[int], bytes], label: str) -> Iterator[bytes]:
    """Blocks that end at the end of a line (the last one may not)."""
    rest = b""
    while chunk := read(BLOCK_BYTES):
        head, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield rest + head + newline
            rest = tail
        else:
            rest += chunk
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{label}: no line end within {LONGEST_LINE >> 20} MiB; this is no text of lines")
    if rest:
        yield rest


def decode_lines(block: bytes, label: str, first_line: int) -> list[str]:
    """Check a block of whole lines and split it.

    Args:
        block: UTF-8.
        label: the file's name in messages.
        first_line: number of the block's first line, from 1.

    Raises:
        DataError: bytes that are no UTF-8, NUL bytes, a byte-order mark, or a carriage return inside a line (a second
            line end for some readers, so that counts would differ), each with its line.
    """

    def refuse(position: int, fault: str) -> DataError:
        line = first_line + block.count(b"\n", 0, position)
        return DataError(f"{label}, line {line}: {fault}; the file is damaged or not plain UTF-8 text")

    if (position := block.find(b"\0")) >= 0:
        raise refuse(position, "a NUL byte")
    if first_line == 1 and block.startswith(BYTE_ORDER_MARK):
        raise refuse(0, "a byte-order mark, which would enter the first word")
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
        if (position := block.find(b"\r")) >= 0:
            raise refuse(position, "a carriage return inside the line")
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refuse(error.start, f"invalid UTF-8 (byte 0x{block[error.start]:02x})") from None
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines

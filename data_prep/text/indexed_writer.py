"""fairseq's memory-mapped token files, written as a stream and read back without fairseq.

``<split>.bin`` holds the token numbers of all lines one after another, little-endian. ``<split>.idx`` holds: 9 bytes
``MMIDIDX\\0\\0``; version 1 as uint64; one byte for the number type (8 uint16, 9 uint32); the number of lines as
uint64; tokens of each line as int32; byte offset of each line in ``.bin`` as int64.
"""

from __future__ import annotations

import struct
from array import array
from pathlib import Path
from types import TracebackType

import numpy as np

from data_prep.core.errors import DataError

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQ")
TYPE_CODES = {8: np.dtype("<u2"), 9: np.dtype("<u4")}


def token_dtype(vocabulary: int) -> np.dtype:
    """uint16 below 65,500 entries, else uint32: fairseq's own choice."""
    return TYPE_CODES[8] if vocabulary < 65_500 else TYPE_CODES[9]


class IndexedWriter:
    """Append lines of token numbers; the index is written when the ``with`` block ends without an error.

    Args:
        prefix: path without ``.bin`` and ``.idx``.
        vocabulary: size of the dictionary, which decides the number type.
    """

    def __init__(self, prefix: Path, vocabulary: int) -> None:
        self._index_path = prefix.with_name(prefix.name + ".idx")
        self._dtype = token_dtype(vocabulary)
        self._sizes = array("i")
        self._file = prefix.with_name(prefix.name + ".bin").open("wb")

    def add(self, ids: np.ndarray, sizes: np.ndarray) -> None:
        """Append lines.

        Args:
            ids: Int[tokens], the lines one after another.
            sizes: Int[lines], tokens of each line; they sum to ``tokens``.
        """
        self._file.write(ids.astype(self._dtype).tobytes())
        self._sizes.frombytes(sizes.astype(np.intc).tobytes())

    def __enter__(self) -> IndexedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:
            self._write_index()

    def _write_index(self) -> None:
        sizes = np.frombuffer(self._sizes, dtype=np.intc).astype("<i4")
        ends = np.cumsum(sizes, dtype="<i8") * self._dtype.itemsize
        code = next(code for code, dtype in TYPE_CODES.items() if dtype == self._dtype)
        with self._index_path.open("wb") as file:
            file.write(HEADER.pack(MAGIC, 1, code, len(sizes)))
            file.write(sizes.tobytes())
            file.write(np.concatenate(([0], ends[:-1])).astype("<i8").tobytes() if len(ends) else b"")


def read_tokens(prefix: Path) -> tuple[np.ndarray, np.ndarray]:
    """Token numbers and line sizes of a split, mapped from disk rather than loaded.

    Returns:
        ids: Int[tokens], uint16 or uint32.
        sizes: Int[lines] int32.

    Raises:
        DataError: the files are missing or are not in this format.
    """
    index, tokens = prefix.with_name(prefix.name + ".idx"), prefix.with_name(prefix.name + ".bin")
    try:
        with index.open("rb") as file:
            header = file.read(HEADER.size)
        if len(header) < HEADER.size or header[:9] != MAGIC:
            raise DataError(f"{index} is no index of fairseq's memory-mapped format")
        _, version, code, lines = HEADER.unpack(header)
        if version != 1 or code not in TYPE_CODES or index.stat().st_size != HEADER.size + 12 * lines:
            raise DataError(f"{index} is damaged, or of a version or number type that is not supported here")
        if not lines:
            return np.empty(0, TYPE_CODES[code]), np.empty(0, "<i4")
        ids = np.memmap(tokens, dtype=TYPE_CODES[code], mode="r")
        sizes = np.memmap(index, dtype="<i4", mode="r", offset=HEADER.size, shape=(lines,))
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
    return ids, sizes

"""Words and their numbers, by the rules of ``fairseq-preprocess --only-source``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
EOS = SPECIAL.index("</s>")
UNKNOWN = SPECIAL.index("<unk>")


class _Indices(dict[str, int]):
    """Word to number; the fall-back costs nothing for the words that are there."""

    def __missing__(self, word: str) -> int:
        return UNKNOWN


class Dictionary:
    """Numbers for words: the four special symbols first, then ``entries`` in order.

    Args:
        entries: (word, count) pairs, as in the lines of ``dict.txt``.
    """

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        self.entries = list(entries)
        symbols = [*SPECIAL, *(word for word, _ in self.entries)]
        self._indices = _Indices(zip(symbols, range(len(symbols)), strict=True))

    def __len__(self) -> int:
        return len(SPECIAL) + len(self.entries)

    def index(self, word: str) -> int:
        """The number of ``word``, or that of ``<unk>``."""
        return self._indices[word]

    @property
    def words(self) -> int:
        """Entries that are words: without special symbols and padding."""
        return sum(not (word.startswith("madeupword") and number == 0) for word, number in self.entries)

    def encode(self, lines: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Number the words of ``lines`` and close each line with ``</s>``.

        Returns:
            ids: Int[tokens] uint32, line after line.
            sizes: Int[lines] int32, tokens of each line with its ``</s>``.
        """
        sizes = np.fromiter(map(len, lines), dtype=np.int32, count=len(lines)) + np.int32(1)
        total = int(sizes.sum(dtype=np.int64))
        ids = np.full(total, EOS, dtype=np.uint32)
        is_word = np.ones(total, dtype=bool)
        is_word[np.cumsum(sizes, dtype=np.int64) - 1] = False
        lookup = map(self._indices.__getitem__, chain.from_iterable(lines))
        ids[is_word] = np.fromiter(lookup, dtype=np.uint32, count=total - len(lines))
        return ids, sizes

    @classmethod
    def build(cls, counts: Counter[str], threshold: int = 1, padding_factor: int = 8) -> Dictionary:
        """By falling count, ties alphabetical; words below ``threshold`` left out; padded with ``madeupword0000`` ...

        Special symbols that stand in the text keep their own numbers.
        """
        words = [(word, number) for word, number in counts.items() if number >= threshold and word not in SPECIAL]
        words.sort(key=lambda entry: (-entry[1], entry[0]))
        known = {word for word, _ in words}
        fillers = (filler for filler in (f"madeupword{index:04d}" for index in count()) if filler not in known)
        while (len(SPECIAL) + len(words)) % padding_factor:
            words.append((next(fillers), 0))
        return cls(words)

    def save(self, path: Path) -> None:
        """Write fairseq's ``dict.txt``: one ``word count`` a line, special symbols left out."""
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{word} {number}\n" for word, number in self.entries)

    @classmethod
    def load(cls, path: Path) -> Dictionary:
        """Read a ``dict.txt``.

        Raises:
            DataError: the file is missing, or a line is no ``word count`` pair or repeats a word.
        """
        entries: list[tuple[str, int]] = []
        seen: set[str] = set(SPECIAL)
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the dictionary {path}: {error}") from error
        for number, line in enumerate(lines, start=1):
            if not line and number == len(lines):
                continue
            word, _, field = line.rstrip().rpartition(" ")
            if not word or not field.isdecimal():
                raise DataError(f"{path}, line {number}: expected a word and its count, found {line!r}")
            if word in seen:
                raise DataError(f"{path}, line {number}: the word {word!r} stands twice")
            seen.add(word)
            entries.append((word, int(field)))
        return cls(entries)

"""The embedded corpus: documentation topics and docstrings of the running CPython, by words or in a byte-pair encoding
trained on it. Real English, always there."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator
from typing import Any

from data_prep.core.dataset import DataSet
from data_prep.core.request import Request
from data_prep.text.bpe import RULES as BPE_RULES
from data_prep.text.preparation import Corpus
from data_prep.text.prose import RULES as PROSE_RULES
from data_prep.text.prose import paragraphs
from data_prep.text.standard_library import library_texts
from data_prep.text.text_source import SPLITS

OPTIONS = ("source", "revision", "bpe", "train_bpe")  # that embedded text does not have
THRESHOLD = 2
# Of the hundred values that a module's name can draw; 16 in a hundred are held out.
VALID, TEST = range(8, 16), range(24, 32)
RULES = {
    **PROSE_RULES,
    "splits": f"by module: SHA-256 of its name modulo 100; {VALID.start} to {VALID.stop - 1} valid, "
    f"{TEST.start} to {TEST.stop - 1} test, others train",
    "repeated": "a paragraph that stood before, in its split or an earlier one (train, valid, test), is left out",
    "dictionary": f"words of train that occur {THRESHOLD} times or more, others are <unk>; falling count, ties "
    "alphabetical, padded to a multiple of 8",
}


ENTRIES = 4096
PIECE_RULES = {
    **RULES,
    "tokens": f"words and punctuation as pydoc's, joined by spaces; {BPE_RULES['tokens']}",
    "dictionary": "all numbers of the BPE by falling count in train, ties alphabetical, padded to a multiple of 8",
    "kept": BPE_RULES["kept"],
    "bpe": f"trained on train, {ENTRIES:,} entries",
}


def split_of(module: str) -> str:
    """The split of a module, the same on every machine."""
    draw = int.from_bytes(hashlib.sha256(module.encode()).digest()) % 100
    return "test" if draw in TEST else "valid" if draw in VALID else "train"


class EmbeddedText:
    """The prose of a standard library, held in memory: some two megabytes.

    Args:
        texts: modules and their texts.
    """

    def __init__(self, texts: Iterable[tuple[str, list[str]]]) -> None:
        prose: dict[str, list[str]] = {split: [] for split in SPLITS}
        for module, documents in texts:
            prose[split_of(module)] += [" ".join(tokens) for text in documents for tokens in paragraphs(text)]
        seen: set[str] = set()
        self._lines: dict[str, list[str]] = {}
        for split in SPLITS:
            self._lines[split] = [line for line in dict.fromkeys(prose[split]) if line not in seen]
            seen.update(self._lines[split])

    def blocks(self, split: str) -> Iterator[list[str]]:
        yield self._lines[split]

    def label(self, split: str) -> str:
        return f"the standard library's prose ({split})"

    def size(self, split: str) -> int:
        return sum(len(line.encode()) + 1 for line in self._lines[split])

    def describe(self) -> dict[str, Any]:
        files = {split: {"sha256": _digest(lines)} for split, lines in self._lines.items()}
        return {"kind": "embedded", "id": f"CPython {platform.python_version()}", "revision": None, "files": files}


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def words(request: Request) -> Corpus:
    """The prose of the running interpreter's library.

    Raises:
        DataError: a source, revision or BPE was asked for, or the library's sources are not there.
    """
    request.refuse_options("pydoc", *OPTIONS, why="is embedded")
    return Corpus(EmbeddedText(library_texts()), RULES, threshold=THRESHOLD)


def pieces(request: Request) -> Corpus:
    """The lines of :func:`words` in a byte-pair encoding trained on them.

    Raises:
        DataError: as :func:`words`.
    """
    request.refuse_options("pydoc_bpe", *OPTIONS, why="is embedded")
    return Corpus(EmbeddedText(library_texts()), PIECE_RULES, train_bpe=ENTRIES)


DATA_SETS = {"pydoc": DataSet(RULES, words), "pydoc_bpe": DataSet(PIECE_RULES, pieces)}

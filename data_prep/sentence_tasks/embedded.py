"""Two sentence tasks from the embedded text, always there: one that word order decides, one that words decide.

Sentences come from the standard library's prose, split by module as ``pydoc`` is, so that no model that was pretrained
on ``pydoc`` or fine-tuned here has seen a sentence of ``valid`` or ``test``; a sentence that stood before is left out.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.sentence_tasks.examples import Examples
from data_prep.sentence_tasks.task import Task
from data_prep.text.prose import paragraphs
from data_prep.text.pydoc import split_of
from data_prep.text.standard_library import Document, library_documents
from data_prep.text.text_source import SPLITS

ENDS = frozenset(".?!")
WINDOW = 16
ORDER_WORDS = range(6, 33)
CONTENT_WORDS = range(5, 41)
ORIGINAL, SHUFFLED = "1", "0"
SUMMARY, DESCRIPTION = "1", "0"
RULES = {
    "pydoc_order": f"sentences of {ORDER_WORDS[0]} to {ORDER_WORDS[-1]} tokens, each once; every other one by SHA-256 "
    f"with windows of {WINDOW} in reverse, the first token and the last kept (0), the others as they are (1)",
    "pydoc_content": f"sentences of {CONTENT_WORDS[0]} to {CONTENT_WORDS[-1]} tokens, each once; the first of a "
    "function's docstring (1), or any of a module's, a class' or a topic's documentation (0); "
    "as many of each, by SHA-256",
}


class Sentence(NamedTuple):
    """A sentence of the library's prose.

    Attributes:
        words: tokens, the last one ends the sentence.
        kind: what its document documents: module, class, function or topic.
        first: whether it is the document's first sentence.
    """

    words: tuple[str, ...]
    kind: str
    first: bool


def library_sentences(documents: Iterable[tuple[str, Sequence[Document]]]) -> dict[str, list[Sentence]]:
    """Whole sentences by split, each once: in the first of train, valid and test that has it."""
    found: dict[str, list[Sentence]] = {split: [] for split in SPLITS}
    for module, texts in documents:
        for document in texts:
            found[split_of(module)] += _sentences(document)
    seen: set[tuple[str, ...]] = set()
    for split in SPLITS:
        unseen = {}
        for sentence in found[split]:
            if sentence.words not in seen:
                unseen.setdefault(sentence.words, sentence)
        found[split] = list(unseen.values())
        seen.update(unseen)
    return found


def _sentences(document: Document) -> Iterator[Sentence]:
    first = True
    for paragraph in paragraphs(document.text):
        start = 0
        for end, token in enumerate(paragraph, start=1):
            if token in ENDS:
                yield Sentence(tuple(paragraph[start:end]), document.kind, first)
                start, first = end, False


def order_examples(sentences: Iterable[Sentence]) -> list[tuple[str, str]]:
    """Whether a sentence is in its own order (1) or locally shuffled (0): a bag of words cannot tell.

    Every other sentence, in the order of their SHA-256, has each window of sixteen words in reverse; the first word and
    the last mark stay where they are. Each sentence is used once, in one of the two forms, so both classes draw their
    words from the same distribution, and none gives the other away.
    """
    usable = [s.words for s in sentences if len(s.words) in ORDER_WORDS and shuffle_locally(s.words) != s.words]
    usable.sort(key=_rank)
    even = len(usable) // 2 * 2
    return [
        (" ".join(words), ORIGINAL) if at % 2 == 0 else (" ".join(shuffle_locally(words)), SHUFFLED)
        for at, words in enumerate(usable[:even])
    ]


def shuffle_locally(words: Sequence[str]) -> tuple[str, ...]:
    """Each window of sixteen words in reverse order; the first and the last word stay.

    Neighbors change sides, so that a model has to know before from after; random orders ask the same in a way that
    takes a small model longer to learn.
    """
    inner = words[1:-1]
    windows = [inner[start : start + WINDOW][::-1] for start in range(0, len(inner), WINDOW)]
    return (*words[:1], *(word for window in windows for word in window), *words[-1:])


def content_examples(sentences: Iterable[Sentence]) -> list[tuple[str, str]]:
    """Whether a sentence says what a function does (1) or describes a module, a class or a topic (0).

    1: the first sentence of a function's docstring; 0: any sentence of the documentation of modules and classes, or of
    the language's topics. As many of one as of the other, the first ones by SHA-256.
    """
    classes: dict[str, list[tuple[str, ...]]] = {SUMMARY: [], DESCRIPTION: []}
    for sentence in sentences:
        if len(sentence.words) in CONTENT_WORDS and (sentence.kind != "function" or sentence.first):
            classes[SUMMARY if sentence.kind == "function" else DESCRIPTION].append(sentence.words)
    each = min(map(len, classes.values()))
    chosen = [(words, label) for label, found in classes.items() for words in sorted(found, key=_rank)[:each]]
    return [(" ".join(words), label) for words, label in sorted(chosen, key=lambda example: _rank(example[0]))]


def _rank(words: Sequence[str]) -> bytes:
    return hashlib.sha256(" ".join(words).encode()).digest()


MAKERS: dict[str, Callable[[Iterable[Sentence]], list[tuple[str, str]]]] = {
    "pydoc_order": order_examples,
    "pydoc_content": content_examples,
}


class EmbeddedExamples:
    """The examples of an embedded task, held in memory.

    Args:
        task: one of the two.
        documents: of the standard library; default: the running interpreter's.
    """

    def __init__(self, task: Task, documents: Iterable[tuple[str, Sequence[Document]]] | None = None) -> None:
        self._task = task
        sentences = library_sentences(library_documents() if documents is None else documents)
        self._examples = {split: MAKERS[task.name](sentences[split]) for split in SPLITS}
        self.splits: Sequence[str] = SPLITS

    def examples(self, split: str) -> Iterator[Examples]:
        rows = self._examples[split]
        sentences = ([sentence for sentence, _ in rows],)
        yield Examples([f"row {row}" for row in range(1, len(rows) + 1)], sentences, [label for _, label in rows], None)

    def label(self, split: str) -> str:
        return f"{self._task.name} of the standard library ({split})"

    def describe(self) -> dict[str, Any]:
        files = {split: {"sha256": hashlib.sha256(self._tsv(split).encode()).hexdigest()} for split in self.splits}
        return {"kind": "embedded", "id": f"CPython {platform.python_version()}", "revision": None, "files": files}

    def write_tsv(self, folder: Path) -> list[Path]:
        """Write ``<folder>/<task>/{train,dev,test}.tsv`` as GLUE writes its files, to look at; returns the paths."""
        paths = [folder / self._task.splits[split].file for split in self.splits]
        for split, path in zip(self.splits, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._tsv(split), encoding="utf-8", newline="\n")
        return paths

    def _tsv(self, split: str) -> str:
        rows = (f"{index}\t{sentence}\t{label}\n" for index, (sentence, label) in enumerate(self._examples[split]))
        return "".join(["index\tsentence\tlabel\n", *rows])

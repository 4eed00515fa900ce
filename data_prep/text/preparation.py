"""From a source of text to a prepared folder: count, verify, build the dictionary, number, describe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.core.errors import DataError
from data_prep.core.manifest import build_manifest, write_manifest
from data_prep.core.progress import Progress
from data_prep.core.verification import PublishedCounts, SplitCounts
from data_prep.core.workspace import check_disk
from data_prep.text.bpe import BytePairEncoder
from data_prep.text.bpe_training import train_encoder
from data_prep.text.dictionary import UNKNOWN, Dictionary
from data_prep.text.indexed_writer import IndexedWriter
from data_prep.text.text_source import SPLITS, TextSource
from data_prep.text.tokens import Tokenize, split_words

NUMBER_BYTES_PER_TEXT_BYTE = 1.0  # a word and its space are rarely shorter than the 2 or 4 bytes of a number
INDEX_BYTES = 32 << 20
SMALL_FIRST = ("valid", "test", "train")  # so that a wrong folder is refused at once


@dataclass(frozen=True)
class Corpus:
    """All that distinguishes one data set from another.

    Attributes:
        source: where the text comes from.
        rules: how text becomes tokens, in words, for the manifest. Other rules make prepared data stale.
        published: the counts that the text must have.
        threshold: words that are rarer in train are unknown.
        encoder: a byte-pair encoding instead of words; its numbers are the words then, and none of them is unknown.
        train_bpe: entries of an encoding to train on the train split, instead of a given one.
        identified: entries of the manifest that tell it from other forms of the same data set.
    """

    source: TextSource
    rules: Mapping[str, Any]
    published: PublishedCounts = field(default_factory=PublishedCounts)
    threshold: int = 1
    encoder: BytePairEncoder | None = None
    train_bpe: int | None = None
    identified: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokenize(self) -> Tokenize:
        """Lines to lists of words."""
        return self.encoder or split_words

    def fill(self, folder: Path, name: str, allow_other_counts: bool = False) -> dict[str, Any]:
        """:func:`fill` for this corpus."""
        return fill(folder, name, self, allow_other_counts)


def fill(folder: Path, name: str, corpus: Corpus, allow_other_counts: bool = False) -> dict[str, Any]:
    """Write the dictionary, the splits and the manifest of ``corpus`` into an existing, empty ``folder``.

    Args:
        folder: where to.
        name: of the data set.
        corpus: what.
        allow_other_counts: do not verify; the identity says so.

    Returns:
        The manifest.

    Raises:
        DataError: the text is damaged, empty or not the published one, or the disk is too small.
    """
    text_bytes = sum(corpus.source.size(split) for split in SPLITS)
    check_disk(folder, int(text_bytes * NUMBER_BYTES_PER_TEXT_BYTE) + INDEX_BYTES)
    published = PublishedCounts() if allow_other_counts else corpus.published
    progress = Progress(name)
    try:
        if corpus.train_bpe is not None:
            corpus = _with_trained_encoder(corpus, published, progress)
        given = corpus.encoder.dictionary if corpus.encoder else None
        dictionary = given or _build_dictionary(corpus, published, progress)
        splits = {split: _write_split(folder, split, corpus, published, dictionary, progress) for split in SMALL_FIRST}
    finally:
        progress.close()
    dictionary.save(folder / "dict.txt")
    if corpus.encoder:
        corpus.encoder.save(folder)
    manifest = build_manifest(
        folder,
        name=name,
        counts="none" if not corpus.published else "other" if allow_other_counts else "published",
        splits={
            split: {
                "tokens": counts.tokens,
                "lines": counts.lines,
                "unknown": counts.unknown,
                "unknown_rate": counts.unknown / counts.tokens,
            }
            for split, counts in ((split, splits[split]) for split in SPLITS)
        },
        vocabulary={"size": len(dictionary), "words": dictionary.words},
        source=corpus.source.describe(),
        rules=corpus.rules,
        identified={**corpus.identified, **({"bpe": corpus.encoder.describe()} if corpus.encoder else {})},
    )
    write_manifest(folder, manifest)
    return manifest


def _with_trained_encoder(corpus: Corpus, published: PublishedCounts, progress: Progress) -> Corpus:
    """Train on train once the small splits have their lines: a wrong folder is refused before minutes are spent."""
    for split in SMALL_FIRST[:-1]:
        lines = sum(map(len, corpus.source.blocks(split)))
        published.verify_split(split, corpus.source.label(split), lines=lines)
    assert corpus.train_bpe is not None
    encoder = train_encoder(_shown(corpus, progress), corpus.train_bpe, corpus.source.label("train"))
    return replace(corpus, encoder=encoder, train_bpe=None)


def _shown(corpus: Corpus, progress: Progress) -> Iterator[list[str]]:
    lines = 0
    for block in corpus.source.blocks("train"):
        yield block
        lines += len(block)
        progress.show("training the BPE", lines, unit="lines")


def _build_dictionary(corpus: Corpus, published: PublishedCounts, progress: Progress) -> Dictionary:
    """Count all splits and keep the counts of train, which comes last."""
    for split in SMALL_FIRST:
        counts: Counter[str] = Counter()
        lines = 0
        for words in _words(corpus, split):
            counts.update(chain.from_iterable(words))
            lines += len(words)
            progress.show(f"counting {split}", counts.total() + lines)
        tokens = counts.total() + lines
        _refuse_empty(corpus, split, tokens - lines)
        published.verify_split(split, corpus.source.label(split), lines=lines, tokens=tokens)
    published.verify_types(corpus.source.label("train"), len(counts.keys() | {"</s>", "<unk>"}))
    if corpus.encoder:  # all of its numbers, so that other text (a task's sentences) has no unknown ones
        return Dictionary.build(Counter({word: counts[word] for word in corpus.encoder.words}), threshold=0)
    return Dictionary.build(counts, corpus.threshold)


def _write_split(
    folder: Path,
    split: str,
    corpus: Corpus,
    published: PublishedCounts,
    dictionary: Dictionary,
    progress: Progress,
) -> SplitCounts:
    tokens = lines = unknown = 0
    with IndexedWriter(folder / split, len(dictionary)) as writer:
        for words in _words(corpus, split):
            ids, sizes = dictionary.encode(words)
            writer.add(ids, sizes)
            tokens += len(ids)
            lines += len(sizes)
            unknown += int(np.count_nonzero(ids == UNKNOWN))
            progress.show(f"writing {split}", tokens)
        _refuse_empty(corpus, split, tokens - lines)
        published.verify_split(split, corpus.source.label(split), lines=lines, tokens=tokens)
    return SplitCounts(tokens, lines, unknown)


def _words(corpus: Corpus, split: str) -> Iterator[list[list[str]]]:
    for lines in corpus.source.blocks(split):
        yield corpus.tokenize(lines)


def _refuse_empty(corpus: Corpus, split: str, words: int) -> None:
    if not words:
        raise DataError(f"{corpus.source.label(split)} has no words: the {split} split is empty")

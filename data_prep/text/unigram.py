"""The perplexity to beat: a model that knows how often each word occurs and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.core.errors import DataError, nearest
from data_prep.core.manifest import load_manifest
from data_prep.text.indexed_writer import read_tokens
from data_prep.text.text_source import SPLITS

TOKENS_AT_ONCE = 1 << 22


def unigram_perplexity(path: Path | str, split: str) -> float:
    """Perplexity per token (``</s>`` included) of ``split`` under train's add-one-smoothed unigram model.

    p(w) = (c(w) + 1) / (N + V), with c(w) the count of w in train, N the tokens of train and V the size of the
    dictionary (special symbols and padding included: what a model's softmax covers);
    perplexity = exp(-1/M sum_{i=1..M} log p(w_i)) over the M tokens of ``split``.

    Args:
        path: a prepared folder.
        split: train, valid or test.

    Raises:
        DataError: the folder is not prepared or damaged.
        ValueError: there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split: {split!r} is none of {', '.join(SPLITS)}{nearest(split, SPLITS)}")
    folder = Path(path)
    vocabulary = load_manifest(folder)["vocabulary"]
    train = _counts(folder / "train", vocabulary)
    tested = train if split == "train" else _counts(folder / split, vocabulary)
    log_probability = np.log(train + 1.0) - np.log(train.sum() + float(vocabulary))
    return float(np.exp(-(tested @ log_probability) / tested.sum()))


def _counts(prefix: Path, vocabulary: int) -> np.ndarray:
    """Float64[vocabulary]: how often each number occurs."""
    ids, _ = read_tokens(prefix)
    counts = np.zeros(vocabulary)
    for start in range(0, len(ids), TOKENS_AT_ONCE):
        found = np.bincount(ids[start : start + TOKENS_AT_ONCE], minlength=vocabulary)
        if len(found) > vocabulary:
            raise DataError(
                f"{prefix}.bin has a token beyond the dictionary's {vocabulary:,} entries; prepare it again"
            )
        counts += found
    return counts

"""One text from the one or two sentences of an example, cut where it is longer than the model takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq.data import FairseqDataset
from torch import Tensor

from data_prep.text.indexed_writer import read_tokens
from experiments.engine.sized import Sized

BEGIN, SEPARATOR = 0, 2  # <s> and </s>, by which RoBERTa opens a text and divides a pair


def kept_lengths(lengths: np.ndarray, longest: int) -> np.ndarray:
    """How many tokens of each sentence are kept, the longer sentence cut first.

    A text is ``<s> first </s>`` or ``<s> first </s> </s> second </s>``; its special tokens are never cut.

    Args:
        lengths: Int[examples sentences], without special tokens; one or two sentences.
        longest: tokens of the whole text, special ones included.

    Returns:
        Int[examples sentences]

    Raises:
        ValueError: ``longest`` leaves no token of each sentence.
    """
    sentences = lengths.shape[1]
    room = longest - 2 * sentences
    if room < sentences:
        raise ValueError(f"max_length={longest}: expected at least {3 * sentences} for {sentences} sentences")
    if sentences == 1:
        return np.minimum(lengths, room)
    first, second = lengths.T
    # The shorter sentence stays whole up to half of the room; the longer one has what is left.
    kept_second = np.minimum(second, np.maximum(room - first, room // 2))
    kept_first = np.minimum(first, room - kept_second)
    return np.stack([kept_first, kept_second], axis=1)


def count_cut(data: Path, split: str, sentences: int, longest: int) -> int:
    """How many examples of a prepared split are longer than ``longest`` tokens."""
    sizes = [np.asarray(read_tokens(data / f"input{part}" / split)[1]) for part in range(sentences)]
    lengths = np.stack(sizes, axis=1).astype(np.int64) - 1  # without </s>
    return int((kept_lengths(lengths, longest) < lengths).any(axis=1).sum())


class JoinedSentences(Sized, FairseqDataset):
    """Texts of at most ``longest`` tokens from sentences that end with ``</s>``.

    Args:
        sentences: one data set, or two for pairs.
        longest: tokens a text may have.
    """

    def __init__(self, sentences: Sequence[Any], longest: int) -> None:
        super().__init__()
        self._sentences = sentences
        lengths = np.stack([np.asarray(part.sizes) for part in sentences], axis=1).astype(np.int64) - 1
        self._kept = kept_lengths(lengths, longest)
        self._sizes = self._kept.sum(axis=1) + 2 * len(sentences)

    def __getitem__(self, index: int) -> Tensor:
        parts: list[Tensor] = []
        for opening, part, kept in zip((BEGIN, SEPARATOR), self._sentences, self._kept[index], strict=False):
            tokens = part[index]
            parts += [tokens.new_tensor([opening]), tokens[: int(kept)], tokens[-1:]]
        return torch.cat(parts)

"""Texts that are too long: the longer sentence is cut first, special tokens stay, and the cut ones are counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq.data import data_utils
from hypothesis import given
from hypothesis import strategies as st

from data_prep.text.indexed_writer import IndexedWriter
from experiments.engine.families.glue.joined import JoinedSentences, count_cut, kept_lengths


def longest_first(first: int, second: int, longest: int) -> tuple[int, int]:
    """The definition: a token at a time, from the end of the longer sentence (the first, where they are equal)."""
    while first + second + 4 > longest:
        if first >= second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(st.integers(1, 60), st.integers(1, 60), st.integers(6, 80))
def test_the_longer_sentence_is_cut_first(first: int, second: int, longest: int) -> None:
    kept = kept_lengths(np.array([[first, second]]), longest)[0]
    expected = longest_first(first, second, longest)
    assert sum(kept) == sum(expected)
    assert np.abs(kept - expected).max() <= 1  # which of two equal ones is cut first is free
    assert kept.min() >= 1


@given(st.integers(1, 60), st.integers(3, 80))
def test_a_single_sentence_keeps_its_beginning(length: int, longest: int) -> None:
    assert kept_lengths(np.array([[length]]), longest)[0, 0] == min(length, longest - 2)


def test_lengths_that_leave_no_token_are_refused() -> None:
    with pytest.raises(ValueError, match="max_length=5: expected at least 6"):
        kept_lengths(np.array([[3, 3]]), 5)


def test_texts_keep_their_special_tokens_and_are_counted(tmp_path: Path) -> None:
    sentences = [[[10, 11, 12, 13, 14, 15], [20]], [[10, 11], [20, 21]]]
    for part in (0, 1):
        (tmp_path / f"input{part}").mkdir()
        with IndexedWriter(tmp_path / f"input{part}" / "valid", 100) as writer:
            rows = [[*pair[part], 2] for pair in sentences]
            writer.add(
                np.concatenate([np.array(row, dtype=np.int64) for row in rows]), np.array([len(row) for row in rows])
            )
    parts = [data_utils.load_indexed_dataset(str(tmp_path / f"input{part}" / "valid"), None) for part in (0, 1)]
    texts = JoinedSentences(parts, 8)
    assert texts[0].tolist() == [0, 10, 11, 12, 2, 2, 20, 2]
    assert texts[1].tolist() == [0, 10, 11, 2, 2, 20, 21, 2]
    assert texts.sizes.tolist() == [8, 8]
    assert count_cut(tmp_path, "valid", 2, 8) == 1
    assert torch.equal(texts[0][-1:], torch.tensor([2], dtype=texts[0].dtype))

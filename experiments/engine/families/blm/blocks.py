"""The blocks of whole lines that a masked language model reads."""

from __future__ import annotations

from pathlib import Path

from fairseq.data import Dictionary, PrependTokenDataset, TokenBlockDataset, data_utils

from experiments.engine.families.blm.pieces import Pieces


def load_blocks(
    folder: Path, split: str, words: Dictionary, tokens_per_sample: int, break_mode: str, combine: bool = False
) -> PrependTokenDataset:
    """fairseq's blocks, ``<s>`` before each, but for lines longer than a block.

    Raises:
        FileNotFoundError: there is no such split.
    """
    lines = data_utils.load_indexed_dataset(str(folder / split), words, combine=combine)
    if lines is None:
        raise FileNotFoundError(f"no split {split} at {folder / split}")
    room = tokens_per_sample - 1  # for <s>
    pieces = Pieces(lines, room)
    blocks = TokenBlockDataset(pieces, pieces.sizes, room, pad=words.pad(), eos=words.eos(), break_mode=break_mode)
    return PrependTokenDataset(blocks, words.bos())

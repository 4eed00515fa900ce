"""Lines that are longer than a block, cut into pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from fairseq.data import BaseWrapperDataset
from torch import Tensor

from experiments.engine.sized import Sized


class Pieces(Sized, BaseWrapperDataset):
    """The same tokens in the same order, in items of at most ``longest`` tokens.

    fairseq's blocks of whole lines keep a longer line whole, and its iterators then refuse it in validation and leave
    it out in training without a word. Cut into pieces, every token is trained on and scored.

    Args:
        dataset: items of tokens, with ``sizes``.
        longest: tokens an item may have.
    """

    def __init__(self, dataset: Any, longest: int) -> None:
        super().__init__(dataset)
        whole = np.asarray(dataset.sizes, dtype=np.int64)
        pieces = np.maximum(1, -(-whole // longest))
        first = np.concatenate(([0], np.cumsum(pieces)[:-1]))
        self._item = np.repeat(np.arange(len(whole)), pieces)
        self._start = (np.arange(len(self._item)) - first[self._item]) * longest
        self._sizes = np.minimum(longest, whole[self._item] - self._start)

    def __getitem__(self, index: int) -> Tensor:
        start = self._start[index]
        return self.dataset[int(self._item[index])][start : start + self._sizes[index]]

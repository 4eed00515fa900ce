"""Data sets whose items' lengths are known beforehand."""

from __future__ import annotations

import numpy as np


class Sized:
    """fairseq's questions about lengths, answered from ``_sizes``: Int[items]. Comes before fairseq's base class."""

    _sizes: np.ndarray

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def sizes(self) -> np.ndarray:
        return self._sizes

    def num_tokens(self, index: int) -> int:
        return int(self._sizes[index])

    def size(self, index: int) -> int:
        return int(self._sizes[index])

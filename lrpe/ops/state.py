"""What linear attention remembers of the past."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LinearAttentionState:
    """sum_t g^(s-t) k'_t v_t^T over the tokens so far.

    Attributes:
        key_value: ``(batch, heads, key_dim, value_dim)``, float32 (float64 for float64 inputs).
        key_sum: ``(batch, heads, key_dim)``, the same sum without v, where a denominator is asked for.
        position: number of tokens summed.
    """

    key_value: Tensor
    key_sum: Tensor | None
    position: int

    def reorder(self, batch_index: Tensor) -> LinearAttentionState:
        """The states of ``batch_index``, e.g. of the surviving hypotheses of a beam search."""
        key_sum = None if self.key_sum is None else self.key_sum.index_select(0, batch_index)
        return LinearAttentionState(self.key_value.index_select(0, batch_index), key_sum, self.position)

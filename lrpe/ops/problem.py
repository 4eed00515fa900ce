"""What linear attention is asked for, apart from query, key and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from lrpe.ops.state import LinearAttentionState

if TYPE_CHECKING:
    from lrpe.encodings.base import Encoding


@dataclass(frozen=True)
class AttentionProblem:
    """The options of :func:`lrpe.ops.linear_attention`, which describes them.

    ``encoding`` is set only where the back end encodes query and key itself.
    """

    causal: bool
    log_decay: Tensor | None
    one_sided_decay: bool
    denominator: bool
    eps: float
    clamped: Tensor | None
    key_padding_mask: Tensor | None
    denominator_query: Tensor | None
    denominator_key: Tensor | None
    form: str
    chunk_size: int
    state: LinearAttentionState | None
    return_state: bool
    encoding: Encoding | None
    offset: int

    def key_sum(self) -> Tensor | None:
        """The state's sum of keys; None without a state.

        Raises:
            ValueError: the state was made without a denominator.
        """
        if self.state is None:
            return None
        if self.state.key_sum is None:
            raise ValueError("this state was made without a denominator; start again with denominator=True")
        return self.state.key_sum

"""No encoding: order is seen through causality alone (NoPE), or through absolute positions in the embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lrpe.encodings.base import Encoding, Plan
from lrpe.encodings.registry import register_encoding


@register_encoding("none")
class NoEncoding(Encoding):
    """M_s = I: returns query and key as they are."""

    @property
    def is_identity(self) -> bool:
        return True

    def matrix(self, position: int | Sequence[int] | Tensor) -> Tensor:
        self._position_tuple(position)
        return torch.eye(self.head_dim, dtype=torch.float64).expand(self.num_heads, -1, -1)

    def _plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        return ()

    def _encode(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        return x

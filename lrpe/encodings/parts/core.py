"""Lambda^(s): a one-parameter family of unitary maps (with several axes: a commuting family)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lrpe.encodings.base import Plan


class Core(nn.Module, ABC):
    """Lambda^(s) with Lambda^(s)^H Lambda^(t) = Lambda^(t-s); real form.

    ``output_dim`` is the number of real features after the core. ``num_heads`` counts the different Lambda: 1 where
    all heads share one.
    """

    output_dim: int

    @abstractmethod
    def plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        """What positions Int[batch|1 length ndim] determine: angles in ``dtype``, or indices."""

    @abstractmethod
    def forward(self, x: Tensor, plan: Plan, *, in_place: bool) -> Tensor:
        """Lambda^(s) x for Float[batch heads length features]; ``in_place`` allows to overwrite x."""

    @abstractmethod
    def matrix(self, position: tuple[int, ...]) -> Tensor:
        """The definition at one position: Float64 or Complex128 [num_heads head_dim head_dim]."""

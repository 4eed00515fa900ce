"""Type 1, unitary: every feature is multiplied by exp(i s a_j)."""

from __future__ import annotations

import torch
from torch import Tensor

from lrpe.encodings.base import Plan
from lrpe.encodings.parts.angles import Angles
from lrpe.encodings.parts.core import Core
from lrpe.ops.rotate import Turn, householder_rotate, turn_by


class Unitary(Core):
    """Lambda^(s) = diag(exp(i s a_1), ..., exp(i s a_d)) (LRPE paper, type 1), as real features concat(Re, Im).

    The real inner product of two such vectors is Re<Lambda^(s) q, Lambda^(t) k>, which for real q and k is
    sum_j q_j k_j cos((t - s) a_j).

    Input: d real features, or the 2d features concat(Re, Im) of a complex projection.
    """

    def __init__(self, head_dim: int, angles: Angles, *, complex_input: bool) -> None:
        super().__init__()
        self.output_dim = 2 * head_dim
        self.angles = angles
        self.complex_input = complex_input

    def plan(self, positions: Tensor, dtype: torch.dtype) -> Turn:
        angle = self.angles(positions, dtype)
        return Turn(angle, None) if self.complex_input else turn_by(angle, pairs=False)

    def forward(self, x: Tensor, plan: Plan, *, in_place: bool) -> Tensor:
        angle, phase = plan
        if self.complex_input:
            real, imaginary = x.chunk(2, dim=-1)
            cosine, sine = angle.cos(), angle.sin()
            return torch.cat((real * cosine - imaginary * sine, real * sine + imaginary * cosine), dim=-1)
        if phase is None:
            return torch.cat((x * angle.cos(), x * angle.sin()), dim=-1)
        return householder_rotate(x, angle, phase)

    def matrix(self, position: tuple[int, ...]) -> Tensor:
        angle = self.angles.at(position)
        return torch.diag_embed(torch.polar(torch.ones_like(angle), angle))

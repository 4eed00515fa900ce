"""Type 2, orthogonal: neighboring features (x_2j, x_2j+1) are rotated by the angle s a_j."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from lrpe.encodings.base import Plan
from lrpe.encodings.parts.angles import Angles
from lrpe.encodings.parts.core import Core
from lrpe.ops.rotate import Turn, householder_rotate, turn_by


class Rotation(Core):
    """Lambda^(s) = block-diag(R(s a_1), ..., R(s a_p), I_r), 2p + r = head_dim (LRPE paper, type 2).

    Pairs are neighbors, so that a pair is one complex number in memory and the rotation one complex product.

    Args:
        head_dim: even.
        angles: p of them; the features that follow the first 2p stay as they are.
    """

    def __init__(self, head_dim: int, angles: Angles) -> None:
        super().__init__()
        self.head_dim = self.output_dim = head_dim
        self.angles = angles
        self.num_fixed_pairs = head_dim // 2 - angles.values.shape[-1]

    def plan(self, positions: Tensor, dtype: torch.dtype) -> Turn:
        # An angle of zero keeps a pair bit for bit, and one product over all pairs is faster than two over parts.
        angle = F.pad(self.angles(positions, dtype), (0, self.num_fixed_pairs))
        return turn_by(angle, pairs=True)

    def forward(self, x: Tensor, plan: Plan, *, in_place: bool) -> Tensor:
        angle, phase = plan
        if phase is None:
            # Real arithmetic: Inductor generates no code for complex numbers, and makes one kernel of this.
            return rotate_pairs(x, angle)
        return householder_rotate(x, angle, phase, in_place=in_place)

    def matrix(self, position: tuple[int, ...]) -> Tensor:
        angle = self.angles.at(position)
        matrix = torch.eye(self.head_dim, dtype=torch.float64).repeat(angle.shape[0], 1, 1)
        for j in range(angle.shape[1]):
            cosine, sine = angle[:, j].cos(), angle[:, j].sin()
            matrix[:, 2 * j, 2 * j] = matrix[:, 2 * j + 1, 2 * j + 1] = cosine
            matrix[:, 2 * j, 2 * j + 1] = -sine
            matrix[:, 2 * j + 1, 2 * j] = sine
        return matrix


def rotate_pairs(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate neighboring pairs of Float[... d] by Float[... d/2], in real arithmetic."""
    cosine, sine = angle.cos(), angle.sin()
    first, second = x[..., 0::2], x[..., 1::2]
    return torch.stack((first * cosine - second * sine, first * sine + second * cosine), dim=-1).flatten(-2)

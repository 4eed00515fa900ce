"""Type 1, unitary: every feature is multiplied by exp(i s a_j)."""

from __future__ import annotations

import torch
from torch import Tensor

from lrpe.encodings.base import Plan
from lrpe.encodings.lrpe.angles import Angles
from lrpe.encodings.lrpe.core import Core


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

    def plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        angle = self.angles(positions, dtype)
        with torch.no_grad():
            return angle, torch.stack((angle.cos(), angle.sin()), dim=-2)

    def forward(self, x: Tensor, plan: Plan, *, in_place: bool) -> Tensor:
        angle, phase = plan
        if self.complex_input:
            real, imaginary = x.chunk(2, dim=-1)
            cosine, sine = angle.cos(), angle.sin()
            return torch.cat((real * cosine - imaginary * sine, real * sine + imaginary * cosine), dim=-1)
        if torch.compiler.is_compiling():
            return torch.cat((x * angle.cos(), x * angle.sin()), dim=-1)
        return RealTimesPhase.apply(x, angle, phase)

    def matrix(self, position: tuple[int, ...]) -> Tensor:
        angle = self.angles.at(position)
        return torch.diag_embed(torch.polar(torch.ones_like(angle), angle))


class RealTimesPhase(torch.autograd.Function):
    """concat(x cos(angle), x sin(angle)) in one pass over the output.

    d Re/dangle = -Im and d Im/dangle = Re, so the output is all that the backward needs.
    """

    @staticmethod
    def forward(ctx, x: Tensor, angle: Tensor, phase: Tensor) -> Tensor:
        output = (x.unsqueeze(-2) * phase).flatten(-2)
        ctx.save_for_backward(output, angle)
        return output

    @staticmethod
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        output, angle = ctx.saved_tensors
        grad_real, grad_imaginary = grad_output.chunk(2, dim=-1)
        grad_x = grad_angle = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.addcmul(grad_real * angle.cos(), grad_imaginary, angle.sin())
        if ctx.needs_input_grad[1]:
            real, imaginary = output.chunk(2, dim=-1)
            grad_angle = torch.addcmul(grad_imaginary * real, grad_real, imaginary, value=-1).sum_to_size(angle.shape)
        return grad_x, grad_angle, None

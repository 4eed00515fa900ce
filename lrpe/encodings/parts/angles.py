"""Angles of the rotation and unitary cores: fixed schedules or learned values, for one or several position axes."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from lrpe.validation import check_choice, check_positive

SCHEDULES = ("geometric", "uniform", "harmonic")
AXES = ("own", "split", "shared")
BASE = 10000.0
TURN = 2 * math.pi


def schedule_angles(schedule: str, count: int, *, spread: float, max_length: int | None) -> Tensor:
    """The fixed angles a_j, j = 0..count-1, as Float64[count].

    - geometric: 10000^(-spread j / count). Rotations have spread 1, which is 10000^(-2j/d) for d/2 pairs; the unitary
      core has spread 2, which is 10000^(-2j/d) for d features.
    - uniform: pi (j + 1) / (2 l count)
    - harmonic: pi / (2 l (j + 1))

    with l = ``max_length``. The published code takes for l the length of the batch at hand, so that the encoding
    changes between batches; here it is a constant that has to be given.

    Raises:
        ValueError: an unknown schedule, or uniform and harmonic without max_length.
    """
    check_choice("angle_schedule", schedule, SCHEDULES)
    index = torch.arange(count, dtype=torch.float64)
    if schedule == "geometric":
        return BASE ** (-spread * index / count)
    if max_length is None:
        raise ValueError(
            f"angle_schedule={schedule!r} needs max_length, a constant length that its angles are scaled by; got None "
            "(the published code used each batch's own length, which makes the encoding depend on the batch)"
        )
    check_positive("max_length", max_length)
    if schedule == "uniform":
        return math.pi * (index + 1) / (2 * max_length * count)
    return math.pi / (2 * max_length * (index + 1))


def reduce_turns(angle: Tensor) -> Tensor:
    """The angle plus the multiple of 2 pi that brings it to [-pi, pi]; its gradient is the angle's."""
    return angle - TURN * torch.round(angle.detach() / TURN)


class Angles(nn.Module):
    """The angle of every feature (pair) at a position s in Z^ndim, a linear function of s.

    angle_j(s) = sum_a s_a theta_aj, where ``axes`` says what theta is:

    - own: every axis has its own angles. With fixed schedules, axis a takes the schedule's angles rolled by
      a * count // ndim: each axis has all frequencies, and no pair has the same one on two axes, so that
      positions which differ in any way differ in some angle.
    - split: the features are cut into ndim blocks, and block a follows axis a alone, with its own whole schedule.
    - shared: one set for all axes, as in the published image models. Then angle_j = (sum_a s_a) theta_j, which sees
      only the sum of the coordinates: row 0, column 5 is encoded as row 5, column 0.

    Learned angles start from the fixed ones. Angles are linear in s whatever their values, so learning keeps the
    encoding relative.

    The product is float64 elementwise arithmetic, reduced to [-pi, pi] before it is cast: float32 products are off by
    0.1 rad at position 2^20, and a matmul may run in bfloat16 under autocast.

    Args:
        count: angles.
        num_heads: sets of angles (1: shared by all heads).
        learned: make theta a float32 parameter, which weight decay leaves alone.
    """

    spared_from_decay = ("values",)
    axis_of: Tensor
    values: Tensor

    def __init__(
        self,
        count: int,
        num_heads: int,
        *,
        ndim: int,
        axes: str,
        schedule: str,
        spread: float,
        max_length: int | None,
        learned: bool,
    ) -> None:
        super().__init__()
        check_choice("axes", axes, AXES)
        if ndim > 1 and axes != "shared" and count < ndim:
            raise ValueError(f"axes={axes!r} needs at least ndim={ndim} angles, but head_dim leaves {count}")
        self.ndim = ndim
        self.axes = axes

        def fixed(size: int) -> Tensor:
            return schedule_angles(schedule, size, spread=spread, max_length=max_length)

        if ndim > 1 and axes == "own":
            values = torch.stack([fixed(count).roll(-(axis * count // ndim)) for axis in range(ndim)])
        elif ndim > 1 and axes == "split":
            sizes = [len(block) for block in torch.arange(count).tensor_split(ndim)]
            values = torch.cat([fixed(size) for size in sizes])[None]
            axis_of = torch.repeat_interleave(torch.arange(ndim), torch.tensor(sizes), output_size=count)
            self.register_buffer("axis_of", axis_of, persistent=False)
        else:
            values = fixed(count)[None]
        values = values[:, None, :].repeat(1, num_heads, 1)
        if learned:
            self.values = nn.Parameter(values.float())
        else:
            # Not in the checkpoint: the constructor's arguments determine it.
            self.register_buffer("values", values, persistent=False)

    def forward(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """Angles in [-pi, pi] at positions Int[batch length ndim]: ``dtype``[batch heads length count]."""
        coordinates = positions.to(torch.float64)
        if self.ndim > 1 and self.axes == "shared":
            coordinates = coordinates.sum(-1, keepdim=True)
        elif self.ndim > 1 and self.axes == "split":
            coordinates = coordinates[..., self.axis_of]
        values = self.values.to(torch.float64)
        if self.ndim > 1 and self.axes == "own":
            terms = (coordinates[:, None, :, axis, None] * values[axis, :, None] for axis in range(self.ndim))
            angle = cast(Tensor, sum(terms))
        else:
            angle = coordinates[:, None] * values[0, :, None]
        return reduce_turns(angle).to(dtype)

    def linear_form(self) -> Tensor:
        """theta ``(axes, 1 or heads, count)`` with angle_j = sum_a c_a theta_aj for :meth:`coordinates` c."""
        if self.ndim > 1 and self.axes == "split":
            axis = torch.arange(self.ndim, device=self.values.device)
            return self.values * (self.axis_of == axis[:, None])[:, None]
        return self.values

    def coordinates(self, positions: Tensor) -> Tensor:
        """What :meth:`linear_form` is multiplied by, at positions Int[batch length ndim]."""
        return positions.sum(-1, keepdim=True) if self.axes == "shared" else positions

    @torch.no_grad()
    def at(self, position: tuple[int, ...]) -> Tensor:
        """The definition at one position, one angle after the other: Float64[heads count]."""
        values = self.values.detach().to("cpu", torch.float64)
        sets, heads, count = values.shape
        angle = torch.zeros(heads, count, dtype=torch.float64)
        for j in range(count):
            for axis, coordinate in enumerate(position):
                if self.ndim > 1 and self.axes == "split" and int(self.axis_of[j]) != axis:
                    continue
                angle[:, j] += coordinate * values[axis if sets > 1 else 0, :, j]
        return angle

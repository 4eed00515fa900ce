"""Calls of the native code: tensors as pointers and strides."""

from __future__ import annotations

import os
from ctypes import c_int64

import torch
from torch import Tensor

from lrpe.ops.native.build import load

MOST_POSITIONS = 128  # of a block: their phases and the sums of their angles fit a second cache
FEWEST_BLOCKS = 16  # for threads to share
SMALLEST_SHARE = 2**15  # elements a thread, as PyTorch's own operators have it

_owner = 0  # the process that the threads belong to


def turn(x: Tensor, phase: Tensor, unit: Tensor | None, result: Tensor) -> None:
    """Writes exp(i angle) (x - 2 <x, u> u) into ``result``, which may be x for pairs without reflection.

    Args:
        x: Float32 or Float64 [batch heads length d].
        phase: Complex[batch|1 heads|1 length d/2] for pairs, else Float[batch|1 heads|1 length 2d].
        unit: Float[1 heads|1 1 d], or None.
        result: Float[batch heads length d], 2d unless pairs.
    """
    _run("turn", x.shape[-1], x, phase, unit, result)


def rotate_backward(
    grad: Tensor, result: Tensor, phase: Tensor, unit: Tensor | None,
    grad_x: Tensor | None, angle_shape: torch.Size | None, *, learns_unit: bool,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """The gradient of :func:`turn` from its result and the result's gradient.

    Args:
        grad_x: where x's gradient is written; None: not wanted. Needed for the unit's.
        angle_shape: of the angle's gradient; None: not wanted.
        learns_unit: whether the unit's gradient is wanted.

    Returns:
        The gradients of the angle and the unit, or None.
    """
    length, features = result.shape[2:]
    dim = features if phase.is_complex() else features // 2
    angle_sum = unit_sum = None
    if angle_shape is not None:
        angle_sum = result.new_zeros(*angle_shape[:3], dim)
    if learns_unit:
        assert unit is not None
        blocks = -(-length // _block(length))
        unit_sum = result.new_zeros(1, unit.shape[1], blocks + 1, dim)
    _run("rotate_backward", dim, grad_x, phase, unit, result, _plain(grad), angle_sum, unit_sum)
    if angle_sum is not None and phase.is_complex():
        angle_sum = angle_sum[..., 0::2] - angle_sum[..., 1::2]
    if unit_sum is not None:
        assert unit is not None
        # Unlike a sum's, the order of a cumulative sum is fixed.
        unit_sum = unit_sum.double().cumsum(dim=2)[:, :, -1:].to(unit.dtype)
    return angle_sum, unit_sum


def _block(length: int) -> int:
    """Positions a block; of the length alone, so that sums do not depend on the threads."""
    return max(1, min(MOST_POSITIONS, length // FEWEST_BLOCKS))


def _plain(x: Tensor) -> Tensor:
    """With each row's numbers as they are, side by side."""
    return x.resolve_neg() if x.stride(-1) == 1 else x.contiguous().resolve_neg()


def _run(
    name: str, dim: int, x: Tensor | None, phase: Tensor, unit: Tensor | None, result: Tensor,
    grad: Tensor | None = None, angle_sum: Tensor | None = None, unit_sum: Tensor | None = None,
) -> None:  # fmt: skip
    batch, heads, length, _ = result.shape
    phases = _plain(torch.view_as_real(phase.resolve_conj()).flatten(-2) if phase.is_complex() else phase)
    unit = None if unit is None else _plain(unit)
    block = _block(length)
    blocks = -(-length // block)
    numbers = [batch, heads, length, dim, block, blocks, _threads(min(blocks, result.numel() // SMALLEST_SHARE))]
    numbers += [phase.is_complex(), result.stride(1) < result.stride(2)]
    for tensor in (x, phases, unit, result, grad, angle_sum, unit_sum):
        numbers += _rows(tensor)
    getattr(load(result.dtype), name)((c_int64 * len(numbers))(*numbers))


def _threads(shares: int) -> int:
    """PyTorch's number, or one: for little work, and in a fork's child, which would wait for its parent's threads."""
    global _owner
    wanted = torch.get_num_threads()
    if wanted == 1 or shares < 2:
        return 1
    _owner = _owner or os.getpid()
    return wanted if _owner == os.getpid() else 1


def _rows(x: Tensor | None) -> tuple[int, int, int, int]:
    """``rows`` of rotate.c."""
    if x is None:
        return 0, 0, 0, 0
    (batch, heads, positions, _), (batch_step, head_step, position_step, _) = x.shape, x.stride()
    return (
        x.data_ptr(),
        batch_step if batch > 1 else 0,
        head_step if heads > 1 else 0,
        position_step if positions > 1 else 0,
    )

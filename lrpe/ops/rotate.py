"""Householder reflection and phases as one differentiable function.

Native code takes one pass over memory each way (:mod:`lrpe.ops.native`); where it does not apply, PyTorch's
operators do the same, in backward on pieces that stay in cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, overload

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrpe.ops.native.rotate import rotate_backward, turn
from lrpe.ops.registry import case_of, resolve

PIECE_ROWS = 4096  # 1 MiB at 64 float32 features; with fewer, the calls cost more than the cache saves
Piece = tuple[slice, slice, slice]


class Turn(NamedTuple):
    """What a rotation needs of the positions.

    Attributes:
        angle: Float[batch|1 heads|1 length p].
        phase: see :func:`householder_rotate`; None where plain operators rotate by the angle.
    """

    angle: Tensor
    phase: Tensor | None


def turn_by(angle: Tensor, *, pairs: bool) -> Turn:
    """The turn by an angle, of neighboring pairs of features or of every feature, for the back end of this case."""
    if resolve(case_of("rotate", angle)).name == "definition":
        return Turn(angle, None)
    with torch.no_grad():
        if pairs:
            return Turn(angle, torch.polar(torch.ones_like(angle), angle))
        return Turn(angle, torch.cat((angle.cos(), angle.sin()), dim=-1))


def householder_rotate(
    x: Tensor, angle: Tensor, phase: Tensor, unit: Tensor | None = None, *, in_place: bool = False
) -> Tensor:
    """exp(i angle) (x - 2 <x, u> u): on neighboring pairs of features, or on every feature.

    Gradients go to x, angle and u; the result is all of this size that is kept for them.

    Args:
        x: Float[batch heads length d].
        angle: Float[batch|1 heads|1 length p].
        phase: what ``angle`` determines, not differentiated. Complex[batch|1 heads|1 length d/2], exp(i angle), turns
            the pairs (x_2j, x_2j+1); Float[batch|1 heads|1 length 2 d], cosines before sines, every feature.
        unit: u of length one, Float[heads|1 d]; None: no reflection.
        in_place: x may be overwritten (pairs without reflection).

    Returns:
        Float[batch heads length d] for pairs, else Float[batch heads length 2d], concat(Re, Im).
    """
    native = resolve(case_of("rotate", x, phase, unit)).name == "native"
    readable = x.stride(-1) == 1 and not x.is_neg() if native else _is_ordered(x) and x.storage_offset() % 2 == 0
    if not readable:
        x = x.clone(memory_format=torch.contiguous_format)
    return _ReflectAndTurn.apply(x, angle, phase, None if unit is None else unit[None, :, None], in_place, native)


class _ReflectAndTurn(torch.autograd.Function):
    """z = Lambda y, y = P x. From z alone: <dz, dLambda y> = Im(conj(z) dz) an angle, y = Lambda^H z, x = P y."""

    @staticmethod
    def forward(
        ctx, x: Tensor, angle: Tensor, phase: Tensor, unit: Tensor | None, in_place: bool, native: bool
    ) -> Tensor:
        ctx.transposed = not x.is_contiguous() and x.transpose(1, 2).is_contiguous()
        ctx.angle_shape, ctx.native = angle.shape, native
        in_place = in_place and unit is None and phase.is_complex()
        if in_place:
            ctx.mark_dirty(x)
        result = x if in_place else _empty(x, x.shape[-1] if phase.is_complex() else 2 * x.shape[-1], ctx.transposed)
        ctx.save_for_backward(result, phase, unit)
        if native:
            turn(x, phase, unit, result)
            return result
        y, out, phases = (_ordered(tensor, ctx.transposed) for tensor in (x, result, phase))
        u = _ordered(unit, ctx.transposed)
        if u is not None:
            y = _reflect(y, u, out=out if phase.is_complex() else None)
        _turn(y, phases, out)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_result: Tensor) -> tuple[Tensor | None, ...]:
        result, phase, unit = ctx.saved_tensors
        needs_x, needs_angle, _, needs_unit, *_ = ctx.needs_input_grad
        grad_x = _empty(result, result.shape[-1] if phase.is_complex() else result.shape[-1] // 2, ctx.transposed)
        if ctx.native:
            grad_angle, grad_unit = rotate_backward(
                grad_result, result, phase, unit, grad_x if needs_x or needs_unit else None,
                ctx.angle_shape if needs_angle else None, learns_unit=needs_unit,
            )  # fmt: skip
            return grad_x if needs_x else None, grad_angle, None, grad_unit, None, None
        grad_angle = result.new_zeros(ctx.angle_shape) if needs_angle else None
        grad_unit = torch.zeros_like(unit) if needs_unit else None
        tensors = (grad_x, grad_result, result, phase)
        target, grads, results, phases = (_ordered(t, ctx.transposed) for t in tensors)
        units, angles_sum, units_sum = (_ordered(t, ctx.transposed) for t in (unit, grad_angle, grad_unit))
        cacheable = target.device.type == "cpu" and (needs_angle or unit is not None)  # more than one pass over memory
        for piece in _pieces(target, PIECE_ROWS if cacheable else target.numel()):
            out, grad, z = target[piece], grads[piece], results[piece]
            part_phase, u = _cut(phases, piece), _cut(units, piece)
            if angles_sum is not None:
                total = _cut(angles_sum, piece)
                total += _angle_gradient(z, grad, phase.is_complex(), total.shape)
            if not (needs_x or needs_unit):
                continue
            _turn_back(grad, part_phase, out)
            if u is not None and units_sum is not None:
                y = _turn_back(z, part_phase, torch.empty_like(out))
                # x = P y and <x, u> = -<y, u>, so d/du of -2 <x, u> <dy, u> is:
                along, x = _dot(y, u), _reflect(y, u)
                total = _cut(units_sum, piece)
                total += 2 * (out * along - x * _dot(out, u)).sum_to_size(total.shape)
            if u is not None:
                _reflect(out, u, out=out)
        return grad_x if needs_x else None, grad_angle, None, grad_unit, None, None


def _empty(like: Tensor, features: int, transposed: bool) -> Tensor:
    batch, heads, length, _ = like.shape
    if transposed:
        return like.new_empty(batch, length, heads, features).transpose(1, 2)
    return like.new_empty(batch, heads, length, features)


def _is_ordered(x: Tensor) -> bool:
    return x.is_contiguous() or x.transpose(1, 2).is_contiguous()


@overload
def _ordered(x: Tensor, transposed: bool) -> Tensor: ...
@overload
def _ordered(x: Tensor | None, transposed: bool) -> Tensor | None: ...
def _ordered(x: Tensor | None, transposed: bool) -> Tensor | None:
    """Axes in the order of memory: a piece is then contiguous, and its product with a vector no copy."""
    return x.transpose(1, 2) if transposed and x is not None else x


def _pieces(x: Tensor, rows: int) -> Iterator[Piece]:
    """Slices of the first three axes, each contiguous in memory and of at most ``rows`` rows."""
    sizes, steps = x.shape[:3], []
    for size in reversed(sizes):
        steps.append(min(size, max(1, rows)))
        rows //= max(1, size)
    batch, middle, last = (
        [slice(start, start + step) for start in range(0, size, max(1, step))]
        for size, step in zip(sizes, reversed(steps), strict=True)
    )
    return ((a, b, c) for b in middle for c in last for a in batch)


@overload
def _cut(x: Tensor, piece: Piece) -> Tensor: ...
@overload
def _cut(x: Tensor | None, piece: Piece) -> Tensor | None: ...
def _cut(x: Tensor | None, piece: Piece) -> Tensor | None:
    """The piece of a tensor that broadcasts over axes of size one."""
    if x is None:
        return None
    return x[tuple(part if size > 1 else slice(None) for part, size in zip(piece, x.shape, strict=False))]


def _pairs(x: Tensor) -> Tensor:
    """Neighboring features as complex numbers: Complex[... d/2], a view wherever memory allows one."""
    if x.stride(-1) != 1 or any(stride % 2 for stride in x.stride()[:-1]) or x.storage_offset() % 2:
        x = x.clone(memory_format=torch.contiguous_format)
    return _view_pairs(x)


def _view_pairs(x: Tensor) -> Tensor:
    return torch.view_as_complex(x.unflatten(-1, (-1, 2)))


def _dot(x: Tensor, unit: Tensor) -> Tensor:
    """<x, u>: Float[... 1]."""
    if unit.numel() == unit.shape[-1]:
        return (x @ unit.view(-1))[..., None]
    return (x * unit).sum(-1, keepdim=True)


def _reflect(x: Tensor, unit: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.addcmul(x, _dot(x, unit), unit, value=-2, out=out)


def _turn(x: Tensor, phase: Tensor, out: Tensor) -> None:
    if phase.is_complex():
        torch.mul(_pairs(x), phase, out=_view_pairs(out))
    else:
        torch.mul(x.unsqueeze(-2), phase.unflatten(-1, (2, -1)), out=out.unflatten(-1, (2, -1)))


def _turn_back(z: Tensor, phase: Tensor, out: Tensor) -> Tensor:
    """Lambda^H z."""
    if phase.is_complex():
        torch.mul(_pairs(z), torch.conj_physical(phase), out=_view_pairs(out))
        return out
    (real, imaginary), (cosine, sine) = z.chunk(2, dim=-1), phase.chunk(2, dim=-1)
    return torch.mul(real, cosine, out=out).addcmul_(imaginary, sine)


def _angle_gradient(z: Tensor, grad: Tensor, pairs: bool, shape: torch.Size) -> Tensor:
    """Im(conj(z) dz), summed to a shape."""
    if pairs:
        product = torch.conj_physical(_pairs(z)).mul_(_pairs(grad))
        return product.sum_to_size(shape).imag
    (real, imaginary), (grad_real, grad_imaginary) = z.chunk(2, dim=-1), grad.chunk(2, dim=-1)
    return (grad_imaginary * real).addcmul_(grad_real, imaginary, value=-1).sum_to_size(shape)

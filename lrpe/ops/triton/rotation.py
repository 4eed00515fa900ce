"""M_s = Lambda^(s) P on complex parts in registers, its adjoint, and the angles, computed where they are used.

Why no table of sines: at d = 64 in bfloat16, encoding q and k moves 512 bytes per token and head; a float32 table of
cos and sin would add 256 from the L2 cache; the arithmetic below is some 30 instructions a pair, for q and k together,
where about 100 fit under the memory's time on an H200 (132 multiprocessors, 128 lanes, 4.3 TB/s).
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def turns_per_step(theta, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """theta / 2 pi modulo 1 as an int64 fraction of 2^64: integer products with it are exact modulo a turn."""
    j = tl.arange(0, BLOCK)
    turn = tl.load(theta + j, mask=j < COUNT, other=0.0).to(tl.float64) * 0.15915494309189535
    turn -= tl.floor(turn + 0.5)
    return (turn * 4611686018427387904.0).to(tl.int64) * 4


@triton.jit
def cosine_and_sine(phase):
    """Of an int64 phase, 2^64 a turn; to 2e-7. Octants are exact integers, the polynomials those of Cephes' sinf."""
    high = (phase >> 32).to(tl.int32)
    quadrant = (high + 536870912) >> 30
    x = (high - (quadrant << 30)).to(tl.float32) * 1.4629180792671596e-9
    y = x * x
    sine = x + x * y * (-1.6666654611e-1 + y * (8.3321608736e-3 - y * 1.9515295891e-4))
    cosine = 1.0 - 0.5 * y + y * y * (4.166664568298827e-2 + y * (-1.388731625493765e-3 + y * 2.443315711809948e-5))
    odd = (quadrant & 1) != 0
    first, second = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    first = tl.where(((quadrant + 1) & 2) != 0, -first, first)
    return first, tl.where((quadrant & 2) != 0, -second, second)


@triton.jit
def rotation_at(
    theta,
    theta_axis_stride,
    positions,
    rows,
    valid,
    offset,
    AXES: tl.constexpr,
    COUNT: tl.constexpr,
    BLOCK: tl.constexpr,
    GIVEN: tl.constexpr,
):
    """cos and sin of sum_a s_a theta_a for the tokens ``rows`` [C]: [C, BLOCK] each; zero angle beyond COUNT.

    ``positions`` are int64 [length, AXES] (GIVEN), else s = offset + row.
    """
    phase = tl.zeros((rows.shape[0], BLOCK), tl.int64)
    for axis in tl.static_range(AXES):
        step = turns_per_step(theta + axis * theta_axis_stride, COUNT, BLOCK)
        phase += position_of(positions, rows, valid, offset, axis, AXES, GIVEN)[:, None] * step[None, :]
    return cosine_and_sine(phase)


@triton.jit
def position_of(positions, rows, valid, offset, axis: tl.constexpr, AXES: tl.constexpr, GIVEN: tl.constexpr):
    """Coordinates of the tokens ``rows`` on one axis: int64 [C]."""
    if GIVEN:
        return tl.load(positions + rows * AXES + axis, mask=valid, other=0)
    else:  # noqa: RET505 - the compiler visits what follows a return
        return (offset + rows).to(tl.int64)


@triton.jit
def unit(a, b):
    """v / |v| of a vector in parts."""
    scale = 1.0 / tl.sqrt(tl.sum(a * a) + tl.sum(b * b))
    return a * scale, b * scale


@triton.jit
def unit_adjoint(a, b, da, db):
    """dL/dv of a vector v = (a, b) in parts from dL/du = (da, db), u = v / |v|."""
    scale = 1.0 / tl.sqrt(tl.sum(a * a) + tl.sum(b * b))
    u, w = a * scale, b * scale
    along = tl.sum(da * u) + tl.sum(db * w)
    return (da - along * u) * scale, (db - along * w) * scale


@triton.jit
def inner(a, b, u, w):
    """<x, v> of each row: [C, 1]."""
    return tl.sum(a * u[None, :] + b * w[None, :], axis=1)[:, None]


@triton.jit
def reflect(a, b, u, w):
    """x - 2 <x, u> u: Householder's map, its own inverse and adjoint."""
    twice = 2.0 * inner(a, b, u, w)
    return a - twice * u[None, :], b - twice * w[None, :]


@triton.jit
def rotate(a, b, cosine, sine):
    """exp(i angle) (a + i b)."""
    return a * cosine - b * sine, a * sine + b * cosine


@triton.jit
def rotate_back(a, b, cosine, sine, REAL: tl.constexpr):
    """exp(-i angle) (a + i b), its real part alone where the input was real: adjoint and inverse of ``rotate``."""
    first = a * cosine + b * sine
    if REAL:
        return first, tl.zeros_like(first)
    else:  # noqa: RET505 - the compiler visits what follows a return
        return first, b * cosine - a * sine

"""What the attention kernels share: a chunk's operands, its decays, and the state at the start of a segment.

Every query and key is P complex features, so that a score is <a_q, a_k> + <b_q, b_k> and a state has two parts
[P, value block]. Products take the inputs' dtype where both operands are inputs, and INNER where one is an
intermediate result: bfloat16 for bfloat16, else float32, because float16 could overflow. Sums are float32.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lrpe.ops.registry import interprets
from lrpe.ops.triton.rotation import reflect, rotate, rotation_at, unit
from lrpe.ops.triton.rows import load_matrix, load_parts, load_vector

INTERPRETED = tl.constexpr(interprets())  # the interpreter takes bfloat16's bits for integers in products


@triton.jit
def product(x, y, INNER: tl.constexpr, PRECISION: tl.constexpr):
    """x y in INNER, summed in float32."""
    x, y = x.to(INNER), y.to(INNER)
    if INTERPRETED:
        x, y = x.to(tl.float32), y.to(tl.float32)
    return tl.dot(x, y, input_precision=PRECISION)


@triton.jit
def unit_vector(vector, WIDTH: tl.constexpr, BLOCK: tl.constexpr, LAYOUT: tl.constexpr, REFLECTED: tl.constexpr):
    """Householder's u in parts; zeros, which reflect nothing, where there is none."""
    u, w = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    if REFLECTED:
        u, w = load_vector(vector, WIDTH, BLOCK, LAYOUT)
        u, w = unit(u, w)
    return u, w


@triton.jit
def encoded(
    row,
    valid,
    u,
    w,
    cosine,
    sine,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    LAYOUT: tl.constexpr,
    ROTATED: tl.constexpr,
    REFLECTED: tl.constexpr,
):
    """Parts of the encoded rows, float32, from the raw ones in memory."""
    a, b = load_parts(row, valid, WIDTH, BLOCK, LAYOUT)
    if REFLECTED:
        a, b = reflect(a, b, u, w)
    if ROTATED:
        a, b = rotate(a, b, cosine, sine)
    return a, b


@triton.jit
def sines(theta, rows, valid, offset, COUNT: tl.constexpr, BLOCK: tl.constexpr, ROTATED: tl.constexpr):
    """cos and sin of the angles of ``rows``; 1 and 0 without a rotation."""
    if ROTATED:
        return rotation_at(theta, 0, theta, rows, valid, offset, 1, COUNT, BLOCK, False)
    else:  # noqa: RET505 - the compiler visits what follows a return
        return tl.full((rows.shape[0], BLOCK), 1.0, tl.float32), tl.zeros((rows.shape[0], BLOCK), tl.float32)


@triton.jit
def seen_keys(padding, rows, valid, PADDED: tl.constexpr):
    """Whether the keys ``rows`` exist and are no padding."""
    if PADDED:
        return valid & (tl.load(padding + rows, mask=valid, other=1) == 0)
    else:  # noqa: RET505 - the compiler visits what follows a return
        return valid


@triton.jit
def decay_inside(log_decay, CHUNK: tl.constexpr, DECAYED: tl.constexpr):
    """g^(i-j) for j <= i, else 0: [C, C]."""
    i = tl.arange(0, CHUNK)
    distance = i[:, None] - i[None, :]
    causal = tl.where(distance >= 0, 1.0, 0.0)
    if DECAYED:
        causal *= tl.exp(log_decay * tl.maximum(distance, 0).to(tl.float32))
    return causal


@triton.jit
def power(log_decay, steps, DECAYED: tl.constexpr):
    """g^steps, steps >= 0, as float32."""
    if DECAYED:
        return tl.exp(log_decay * tl.maximum(steps, 0).to(tl.float32))
    else:  # noqa: RET505 - the compiler visits what follows a return
        return tl.full(steps.shape, 1.0, tl.float32)


@triton.jit
def decayed(log_decay, steps, DECAYED: tl.constexpr):
    """g^steps for one number of steps."""
    if DECAYED:
        return tl.exp(log_decay * steps.to(tl.float32))
    else:  # noqa: RET505 - the compiler visits what follows a return
        return 1.0


@triton.jit
def load_rate(log_decay, head, DECAYED: tl.constexpr):
    """log g of a head; 0 without a decay."""
    if DECAYED:
        return tl.load(log_decay + head).to(tl.float32)
    else:  # noqa: RET505 - the compiler visits what follows a return
        return 0.0


@triton.jit
def start_state(
    given,
    given_sum,
    summaries,
    summary_sums,
    first,
    count,
    step,
    length,
    segment,
    rate,
    columns,
    ENCODED: tl.constexpr,
    VALUES: tl.constexpr,
    BLOCK: tl.constexpr,
    OUT_LAYOUT: tl.constexpr,
    GIVEN: tl.constexpr,
    SUMMED: tl.constexpr,
    DECAYED: tl.constexpr,
):
    """The state that a segment begins with, from the given one and the summaries of ``count`` segments.

    Segments are taken from ``first`` on in steps of ``step`` (1: those before; -1: those behind, for gradients).
    """
    a = tl.zeros((BLOCK, columns.shape[0]), tl.float32)
    b = tl.zeros((BLOCK, columns.shape[0]), tl.float32)
    za, zb = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    if GIVEN:
        a, b = load_matrix(given, columns, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
        if SUMMED:
            za, zb = load_vector(given_sum, ENCODED, BLOCK, OUT_LAYOUT)
    for index in range(count):
        place = first + step * index
        kept = decayed(rate, tl.minimum(segment, length - place * segment), DECAYED)
        da, db = load_matrix(summaries + place * ENCODED * VALUES, columns, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
        a, b = a * kept + da, b * kept + db
        if SUMMED:
            da, db = load_vector(summary_sums + place * ENCODED, ENCODED, BLOCK, OUT_LAYOUT)
            za, zb = za * kept + da, zb * kept + db
    return a, b, za, zb


@triton.jit
def denominator_gradient(
    grad_out, out, rows, valid, total, grad_strides, out_strides, eps, VALUES: tl.constexpr, BLOCK_V: tl.constexpr
):
    """1 / d and dL/d(sum) of out = num / d, d = max(sum, eps): [C] each; ``total`` is the sum."""
    product = tl.zeros(rows.shape, tl.float32)
    for start in tl.static_range(0, VALUES, BLOCK_V):
        column = start + tl.arange(0, BLOCK_V)
        inside = valid[:, None] & (column < VALUES)[None, :]
        g = tl.load(grad_out + (rows.to(tl.int64) * grad_strides[2])[:, None] + column[None, :], mask=inside, other=0.0)
        o = tl.load(out + (rows.to(tl.int64) * out_strides[2])[:, None] + column[None, :], mask=inside, other=0.0)
        product += tl.sum(g.to(tl.float32) * o.to(tl.float32), axis=1)
    inverse = 1.0 / tl.maximum(total, eps)
    return inverse, tl.where(total >= eps, -product * inverse, 0.0)

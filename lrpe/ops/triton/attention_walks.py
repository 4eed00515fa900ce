"""The two walks of the backward: along a segment for the queries' gradient, against it for those of keys and values.

Each forms the scores and the encodings of a chunk again; nothing of size length x chunk is kept.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lrpe.ops.triton.chunk import (
    decay_inside,
    decayed,
    denominator_gradient,
    encoded,
    power,
    product,
    seen_keys,
    sines,
)
from lrpe.ops.triton.rotation import inner, reflect, rotate_back
from lrpe.ops.triton.rows import load_parts, store_parts


@triton.jit
def unencode(
    row,
    grad_row,
    valid,
    positions,
    da,
    db,
    u,
    w,
    cosine,
    sine,
    angle_grad,
    u_grad,
    w_grad,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    LAYOUT: tl.constexpr,
    ROTATED: tl.constexpr,
    REFLECTED: tl.constexpr,
    LEARNED_ANGLES: tl.constexpr,
    LEARNED_VECTOR: tl.constexpr,
):
    """Store the gradient of the raw rows from that of the encoded ones (da, db); add to those of theta and u.

    The rows are read again, from the nearest cache: holding them over the products before would spill registers. With
    z = Lambda y, <dz, dLambda y> = Im(conj(y) Lambda^H dz) an angle.
    """
    if ROTATED:
        da, db = rotate_back(da, db, cosine, sine, False)
    if LEARNED_ANGLES or LEARNED_VECTOR:
        x, y = load_parts(row, valid, WIDTH, BLOCK, LAYOUT)
    if LEARNED_ANGLES:
        a, b = x, y
        if REFLECTED:
            a, b = reflect(x, y, u, w)
        angle_grad += tl.sum(positions[:, None] * (a * db - b * da), axis=0)
    if LAYOUT == "real":
        db = tl.zeros_like(da)
    if LEARNED_VECTOR:
        along, across = inner(x, y, u, w), inner(da, db, u, w)
        u_grad -= 2 * tl.sum(along * da + across * x, axis=0)
        w_grad -= 2 * tl.sum(along * db + across * y, axis=0)
    if REFLECTED:
        da, db = reflect(da, db, u, w)
    store_parts(grad_row, valid, da, db, WIDTH, BLOCK, LAYOUT)
    return angle_grad, u_grad, w_grad


@triton.jit
def denominator_slopes(
    grad_out, out, total, rows, valid, slab, grad_strides, out_strides, eps,
    VALUES: tl.constexpr, BLOCK_V: tl.constexpr, NORMALIZED: tl.constexpr,
):  # fmt: skip
    """1 / d of each row, and dL/d(its sum) where ``slab`` is the one to add it: 1 and 0 without a denominator."""
    inverse, slope = tl.full(rows.shape, 1.0, tl.float32), tl.zeros(rows.shape, tl.float32)
    if NORMALIZED:
        sums = tl.load(total + rows, mask=valid, other=1.0)
        inverse, slope = denominator_gradient(
            grad_out, out, rows, valid, sums, grad_strides, out_strides, eps, VALUES, BLOCK_V
        )
        slope = tl.where(slab == 0, slope, 0.0)
    return inverse, slope


@triton.jit
def gradient_of_scores(
    g, v, inverse, slope, rate,
    CHUNK: tl.constexpr, DECAYED: tl.constexpr, NORMALIZED: tl.constexpr, RAW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """g^(i-j) (<do_i, v_j> / d_i + slope_i) for j <= i: [C, C]."""
    result = product(g, tl.trans(v), RAW, PRECISION)
    if NORMALIZED:
        result = result * inverse[:, None] + slope[:, None]
    return result * decay_inside(rate, CHUNK, DECAYED)


@triton.jit
def walk_queries(
    query, key, value, out, total, grad_out, query_grad, theta, padding,
    query_strides, key_strides, value_strides, out_strides, grad_out_strides, query_grad_strides,
    a, b, za, zb, u, w, rate, first, last, offset, columns, slab, eps,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_V: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr,
    COUNT: tl.constexpr, LAYOUT: tl.constexpr, ROTATED: tl.constexpr, REFLECTED: tl.constexpr, PADDED: tl.constexpr,
    DECAYED: tl.constexpr, NORMALIZED: tl.constexpr, LEARNED_ANGLES: tl.constexpr, LEARNED_VECTOR: tl.constexpr,
    INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Store dq of the tokens first..last, the state (a, b) and its sum (za, zb) before them given.

    Returns:
        Gradients of the angles and of Householder's u in parts: [BLOCK] each.
    """
    angle_grad = tl.zeros((BLOCK,), tl.float32)
    u_grad, w_grad = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for step in range(tl.cdiv(last - first, CHUNK)):
        begin = first + step * CHUNK
        rows = begin + tl.arange(0, CHUNK)
        valid, wide = rows < last, rows.to(tl.int64)
        inside = valid[:, None] & (columns < VALUES)[None, :]
        v = tl.load(value + (wide * value_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        g = tl.load(grad_out + (wide * grad_out_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        inverse, slope = denominator_slopes(
            grad_out, out, total, rows, valid, slab, grad_out_strides, out_strides, eps, VALUES, BLOCK_V, NORMALIZED
        )
        score_grad = gradient_of_scores(
            g, v, inverse, slope, rate, CHUNK, DECAYED, NORMALIZED, query.dtype.element_ty, PRECISION
        )
        da, db = product(g, tl.trans(a), INNER, PRECISION), product(g, tl.trans(b), INNER, PRECISION)
        if NORMALIZED:
            da = da * inverse[:, None] + slope[:, None] * za[None, :]
            db = db * inverse[:, None] + slope[:, None] * zb[None, :]
        since = power(rate, rows - begin + 1, DECAYED)[:, None]
        seen = seen_keys(padding, rows, valid, PADDED)
        cosine, sine = sines(theta, rows, valid, offset, COUNT, BLOCK, ROTATED)
        ka, kb = encoded(
            key + wide * key_strides[2], seen, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        da = da * since + product(score_grad, ka, INNER, PRECISION)
        db = db * since + product(score_grad, kb, INNER, PRECISION)
        size = tl.minimum(last - begin, CHUNK)
        kept = decayed(rate, size, DECAYED)
        until = power(rate, size - 1 - (rows - begin), DECAYED)[:, None]
        ka, kb = ka * until, kb * until
        a = a * kept + product(tl.trans(ka), v, INNER, PRECISION)
        b = b * kept + product(tl.trans(kb), v, INNER, PRECISION)
        if NORMALIZED:
            za, zb = za * kept + tl.sum(ka, axis=0), zb * kept + tl.sum(kb, axis=0)
        angle_grad, u_grad, w_grad = unencode(
            query + wide * query_strides[2], query_grad + wide * query_grad_strides[2], valid,
            (offset + rows).to(tl.float32), da, db, u, w, cosine, sine, angle_grad, u_grad, w_grad,
            WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED, LEARNED_ANGLES, LEARNED_VECTOR,
        )  # fmt: skip
    return angle_grad, u_grad, w_grad


@triton.jit
def walk_keys(
    query, key, value, out, total, grad_out, key_grad, value_grad, theta, padding,
    query_strides, key_strides, value_strides, out_strides, grad_out_strides, key_grad_strides, value_grad_strides,
    a, b, za, zb, u, w, rate, first, last, offset, columns, slab, eps,
    CHUNK: tl.constexpr, BLOCK: tl.constexpr, BLOCK_V: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr,
    COUNT: tl.constexpr, LAYOUT: tl.constexpr, ROTATED: tl.constexpr, REFLECTED: tl.constexpr, PADDED: tl.constexpr,
    DECAYED: tl.constexpr, NORMALIZED: tl.constexpr, LEARNED_ANGLES: tl.constexpr, LEARNED_VECTOR: tl.constexpr,
    INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Store dk and dv of the tokens first..last, the gradients of the state and of its sum behind them given.

    Returns:
        Those gradients before the tokens, and those of the angles and of Householder's u in parts.
    """
    angle_grad = tl.zeros((BLOCK,), tl.float32)
    u_grad, w_grad = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    chunks = tl.cdiv(last - first, CHUNK)
    for step in range(chunks):
        begin = first + (chunks - 1 - step) * CHUNK
        rows = begin + tl.arange(0, CHUNK)
        valid, wide = rows < last, rows.to(tl.int64)
        seen = seen_keys(padding, rows, valid, PADDED)
        cosine, sine = sines(theta, rows, valid, offset, COUNT, BLOCK, ROTATED)
        qa, qb = encoded(
            query + wide * query_strides[2], valid, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        ka, kb = encoded(
            key + wide * key_strides[2], seen, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        inside = valid[:, None] & (columns < VALUES)[None, :]
        g = tl.load(grad_out + (wide * grad_out_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        inverse, slope = denominator_slopes(
            grad_out, out, total, rows, valid, slab, grad_out_strides, out_strides, eps, VALUES, BLOCK_V, NORMALIZED
        )
        size = tl.minimum(last - begin, CHUNK)
        until = power(rate, size - 1 - (rows - begin), DECAYED)[:, None]
        raw: tl.constexpr = query.dtype.element_ty
        scores = product(qa, tl.trans(ka), raw, PRECISION) + product(qb, tl.trans(kb), raw, PRECISION)
        scores *= decay_inside(rate, CHUNK, DECAYED) * inverse[:, None]
        dv = product(ka, a, INNER, PRECISION) + product(kb, b, INNER, PRECISION)
        dv = dv * until + product(tl.trans(scores), g, INNER, PRECISION)
        tl.store(
            value_grad + (wide * value_grad_strides[2])[:, None] + columns[None, :],
            dv.to(value_grad.dtype.element_ty),
            mask=inside,
        )
        v = tl.load(value + (wide * value_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        score_grad = tl.trans(
            gradient_of_scores(g, v, inverse, slope, rate, CHUNK, DECAYED, NORMALIZED, raw, PRECISION)
        )
        da, db = product(v, tl.trans(a), INNER, PRECISION), product(v, tl.trans(b), INNER, PRECISION)
        if NORMALIZED:
            da += tl.where(slab == 0, za, 0.0)[None, :]
            db += tl.where(slab == 0, zb, 0.0)[None, :]
        da = da * until + product(score_grad, qa, INNER, PRECISION)
        db = db * until + product(score_grad, qb, INNER, PRECISION)
        da, db = tl.where(seen[:, None], da, 0.0), tl.where(seen[:, None], db, 0.0)
        kept = decayed(rate, size, DECAYED)
        since = power(rate, rows - begin + 1, DECAYED)
        weight, extra = (since * inverse)[:, None], (since * slope)[:, None]
        a = a * kept + product(tl.trans(qa * weight), g, INNER, PRECISION)
        b = b * kept + product(tl.trans(qb * weight), g, INNER, PRECISION)
        if NORMALIZED:
            za, zb = za * kept + tl.sum(qa * extra, axis=0), zb * kept + tl.sum(qb * extra, axis=0)
        angle_grad, u_grad, w_grad = unencode(
            key + wide * key_strides[2], key_grad + wide * key_grad_strides[2], valid,
            (offset + rows).to(tl.float32), da, db, u, w, cosine, sine, angle_grad, u_grad, w_grad,
            WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED, LEARNED_ANGLES, LEARNED_VECTOR,
        )  # fmt: skip
    return a, b, za, zb, angle_grad, u_grad, w_grad

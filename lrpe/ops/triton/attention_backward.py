"""Gradients of causal linear attention with respect to raw query, key and value, angles and Householder's vector.

Two kinds of programs in one launch: one walks a segment forwards with the state S and yields dq, the other backwards
with the gradient of the state dS and yields dk and dv. Scores and encodings are formed again; nothing of size
length x chunk is kept. Blocks of value columns are as independent as heads: where there are several, their dq, dk and
gradients of the encoding are parts of a sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lrpe.ops.triton.chunk import (
    decay_inside,
    decayed,
    denominator_gradient,
    encoded,
    load_rate,
    power,
    product,
    seen_keys,
    sines,
    start_state,
    unit_vector,
)
from lrpe.ops.triton.rotation import inner, reflect, rotate_back
from lrpe.ops.triton.rows import load_parts, store_matrix, store_parts, store_vector


@triton.jit
def unencode(
    row,
    grad_row,
    valid,
    positions,
    a,
    b,
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
    """Store the gradient of the raw rows from that of the encoded ones (da, db); add to those of theta and u."""
    if LEARNED_ANGLES:
        angle_grad += tl.sum(positions[:, None] * (a * db - b * da), axis=0)
    if ROTATED:
        da, db = rotate_back(da, db, cosine, sine, LAYOUT == "real")
    if LEARNED_VECTOR:
        x, y = load_parts(row, valid, WIDTH, BLOCK, LAYOUT)
        along, across = inner(x, y, u, w), inner(da, db, u, w)
        u_grad -= 2 * tl.sum(along * da + across * x, axis=0)
        w_grad -= 2 * tl.sum(along * db + across * y, axis=0)
    if REFLECTED:
        da, db = reflect(da, db, u, w)
    store_parts(grad_row, valid, da, db, WIDTH, BLOCK, LAYOUT)
    return angle_grad, u_grad, w_grad


@triton.jit(do_not_specialize=["offset", "length", "segment", "segments", "heads"])
def attend_backward(
    query,
    key,
    value,
    out,
    total,
    grad_out,
    query_grad,
    key_grad,
    value_grad,
    theta,
    vector,
    log_decay,
    padding,
    theta_parts,
    vector_parts,
    start,
    start_sum,
    start_grad,
    start_sum_grad,
    end_grad,
    end_sum_grad,
    summaries,
    summary_sums,
    behind,
    behind_sums,
    query_strides,
    key_strides,
    value_strides,
    out_strides,
    grad_out_strides,
    query_grad_strides,
    key_grad_strides,
    value_grad_strides,
    part_stride,
    theta_stride,
    vector_stride,
    offset,
    length,
    segment,
    segments,
    heads,
    eps,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_V: tl.constexpr,
    WIDTH: tl.constexpr,
    ENCODED: tl.constexpr,
    VALUES: tl.constexpr,
    COUNT: tl.constexpr,
    LAYOUT: tl.constexpr,
    OUT_LAYOUT: tl.constexpr,
    ROTATED: tl.constexpr,
    REFLECTED: tl.constexpr,
    PADDED: tl.constexpr,
    DECAYED: tl.constexpr,
    NORMALISED: tl.constexpr,
    STARTED: tl.constexpr,
    ENDED: tl.constexpr,
    LEARNED_ANGLES: tl.constexpr,
    LEARNED_VECTOR: tl.constexpr,
    INNER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64)
    batch, head = pair // heads, pair % heads
    place = tl.program_id(1) // 2
    forwards = tl.program_id(1) % 2 == 0
    slab = tl.program_id(2)
    columns = slab * BLOCK_V + tl.arange(0, BLOCK_V)
    rate = load_rate(log_decay, head, DECAYED)
    u, w = unit_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT, REFLECTED)
    query += batch * query_strides[0] + head * query_strides[1]
    key += batch * key_strides[0] + head * key_strides[1]
    value += batch * value_strides[0] + head * value_strides[1]
    out += batch * out_strides[0] + head * out_strides[1]
    grad_out += batch * grad_out_strides[0] + head * grad_out_strides[1]
    query_grad += slab * part_stride + batch * query_grad_strides[0] + head * query_grad_strides[1]
    key_grad += slab * part_stride + batch * key_grad_strides[0] + head * key_grad_strides[1]
    value_grad += batch * value_grad_strides[0] + head * value_grad_strides[1]
    padding += batch * length
    total += pair * length
    state, sums_at = pair * ENCODED * VALUES, pair * ENCODED
    if forwards:
        a, b, za, zb = start_state(
            start + state, start_sum + sums_at, summaries + state * segments, summary_sums + sums_at * segments,
            0, place, 1, length, segment, rate, columns,
            ENCODED, VALUES, BLOCK, OUT_LAYOUT, STARTED, NORMALISED, DECAYED,
        )  # fmt: skip
    else:
        a, b, za, zb = start_state(
            end_grad + state, end_sum_grad + sums_at, behind + state * segments, behind_sums + sums_at * segments,
            segments - 1, segments - 1 - place, -1, length, segment, rate, columns,
            ENCODED, VALUES, BLOCK, OUT_LAYOUT, ENDED, NORMALISED, DECAYED,
        )  # fmt: skip
    inside_decay = decay_inside(rate, CHUNK, DECAYED)
    angle_grad = tl.zeros((BLOCK,), tl.float32)
    u_grad, w_grad = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    first, last = place * segment, tl.minimum((place + 1) * segment, length)
    chunks = tl.cdiv(last - first, CHUNK)
    raw: tl.constexpr = query.dtype.element_ty
    for step in range(chunks):
        begin = first + (step if forwards else chunks - 1 - step) * CHUNK
        rows = begin + tl.arange(0, CHUNK)
        valid = rows < last
        wide = rows.to(tl.int64)
        seen = seen_keys(padding, rows, valid, PADDED)
        cosine, sine = sines(theta + head * theta_stride, rows, valid, offset, COUNT, BLOCK, ROTATED)
        qa, qb = encoded(
            query + wide * query_strides[2], valid, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        ka, kb = encoded(
            key + wide * key_strides[2], seen, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        inside = valid[:, None] & (columns < VALUES)[None, :]
        v = tl.load(value + (wide * value_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        g = tl.load(grad_out + (wide * grad_out_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        size = tl.minimum(last - begin, CHUNK)
        kept = decayed(rate, size, DECAYED)
        since = power(rate, rows - begin + 1, DECAYED)[:, None]
        until = power(rate, size - 1 - (rows - begin), DECAYED)[:, None]
        inverse, slope = tl.full((CHUNK,), 1.0, tl.float32), tl.zeros((CHUNK,), tl.float32)
        score_grad = product(g, tl.trans(v), raw, PRECISION)
        if NORMALISED:
            sums = tl.load(total + rows, mask=valid, other=1.0)
            inverse, slope = denominator_gradient(
                grad_out, out, rows, valid, sums, grad_out_strides, out_strides, eps, VALUES, BLOCK_V
            )
            slope = tl.where(slab == 0, slope, 0.0)
            score_grad = score_grad * inverse[:, None] + slope[:, None]
        score_grad *= inside_decay
        positions = (offset + rows).to(tl.float32)
        if forwards:
            da, db = product(g, tl.trans(a), INNER, PRECISION), product(g, tl.trans(b), INNER, PRECISION)
            if NORMALISED:
                da = da * inverse[:, None] + slope[:, None] * za[None, :]
                db = db * inverse[:, None] + slope[:, None] * zb[None, :]
            da = da * since + product(score_grad, ka, INNER, PRECISION)
            db = db * since + product(score_grad, kb, INNER, PRECISION)
            angle_grad, u_grad, w_grad = unencode(
                query + wide * query_strides[2], query_grad + wide * query_grad_strides[2], valid, positions,
                qa, qb, da, db, u, w, cosine, sine, angle_grad, u_grad, w_grad,
                WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED, LEARNED_ANGLES, LEARNED_VECTOR,
            )  # fmt: skip
            a = a * kept + product(tl.trans(ka * until), v, INNER, PRECISION)
            b = b * kept + product(tl.trans(kb * until), v, INNER, PRECISION)
            if NORMALISED:
                za = za * kept + tl.sum(ka * until, axis=0)
                zb = zb * kept + tl.sum(kb * until, axis=0)
        else:
            scores = product(qa, tl.trans(ka), raw, PRECISION) + product(qb, tl.trans(kb), raw, PRECISION)
            scores *= inside_decay
            dv = product(ka, a, INNER, PRECISION) + product(kb, b, INNER, PRECISION)
            dv = dv * until + product(tl.trans(scores * inverse[:, None]), g, INNER, PRECISION)
            tl.store(
                value_grad + (wide * value_grad_strides[2])[:, None] + columns[None, :],
                dv.to(value_grad.dtype.element_ty),
                mask=inside,
            )
            da, db = product(v, tl.trans(a), INNER, PRECISION), product(v, tl.trans(b), INNER, PRECISION)
            if NORMALISED:
                da += tl.where(slab == 0, za, 0.0)[None, :]
                db += tl.where(slab == 0, zb, 0.0)[None, :]
            da = da * until + product(tl.trans(score_grad), qa, INNER, PRECISION)
            db = db * until + product(tl.trans(score_grad), qb, INNER, PRECISION)
            da, db = tl.where(seen[:, None], da, 0.0), tl.where(seen[:, None], db, 0.0)
            angle_grad, u_grad, w_grad = unencode(
                key + wide * key_strides[2], key_grad + wide * key_grad_strides[2], valid, positions,
                ka, kb, da, db, u, w, cosine, sine, angle_grad, u_grad, w_grad,
                WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED, LEARNED_ANGLES, LEARNED_VECTOR,
            )  # fmt: skip
            a = a * kept + product(tl.trans(qa * since * inverse[:, None]), g, INNER, PRECISION)
            b = b * kept + product(tl.trans(qb * since * inverse[:, None]), g, INNER, PRECISION)
            if NORMALISED:
                za = za * kept + tl.sum(qa * since * slope[:, None], axis=0)
                zb = zb * kept + tl.sum(qb * since * slope[:, None], axis=0)
    if STARTED and not forwards and place == 0:
        store_matrix(start_grad + state, columns, a, b, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
        if NORMALISED and slab == 0:
            store_vector(start_sum_grad + sums_at, za, zb, ENCODED, BLOCK, OUT_LAYOUT)
    program = (pair * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(2) + slab
    if LEARNED_ANGLES:
        j = tl.arange(0, BLOCK)
        tl.store(theta_parts + program * COUNT + j, angle_grad, mask=j < COUNT)
    if LEARNED_VECTOR:
        store_vector(vector_parts + program * WIDTH, u_grad, w_grad, WIDTH, BLOCK, LAYOUT)

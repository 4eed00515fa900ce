"""Gradients of causal linear attention with respect to raw query, key and value, angles and Householder's vector.

Two kinds of programs in one launch: one walks a segment forwards with the state S and yields dq, the other backwards
with the gradient of the state dS and yields dk and dv. They share no loop, so that registers are the larger number of
the two and not their union. Blocks of value columns are as independent as heads: where there are several, their dq, dk
and gradients of the encoding are parts of a sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lrpe.ops.triton.attention_walks import walk_keys, walk_queries
from lrpe.ops.triton.chunk import load_rate, start_state, unit_vector
from lrpe.ops.triton.rotation import unit_adjoint
from lrpe.ops.triton.rows import load_vector, store_matrix, store_vector


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
    NORMALIZED: tl.constexpr,
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
    first, last = place * segment, tl.minimum((place + 1) * segment, length)
    theta += head * theta_stride
    if forwards:
        a, b, za, zb = start_state(
            start + state, start_sum + sums_at, summaries + state * segments, summary_sums + sums_at * segments,
            0, place, 1, length, segment, rate, columns,
            ENCODED, VALUES, BLOCK, OUT_LAYOUT, STARTED, NORMALIZED, DECAYED,
        )  # fmt: skip
        angle_grad, u_grad, w_grad = walk_queries(
            query, key, value, out, total, grad_out, query_grad, theta, padding,
            query_strides, key_strides, value_strides, out_strides, grad_out_strides, query_grad_strides,
            a, b, za, zb, u, w, rate, first, last, offset, columns, slab, eps,
            CHUNK, BLOCK, BLOCK_V, WIDTH, VALUES, COUNT, LAYOUT, ROTATED, REFLECTED, PADDED, DECAYED, NORMALIZED,
            LEARNED_ANGLES, LEARNED_VECTOR, INNER, PRECISION,
        )  # fmt: skip
    else:
        a, b, za, zb = start_state(
            end_grad + state, end_sum_grad + sums_at, behind + state * segments, behind_sums + sums_at * segments,
            segments - 1, segments - 1 - place, -1, length, segment, rate, columns,
            ENCODED, VALUES, BLOCK, OUT_LAYOUT, ENDED, NORMALIZED, DECAYED,
        )  # fmt: skip
        a, b, za, zb, angle_grad, u_grad, w_grad = walk_keys(
            query, key, value, out, total, grad_out, key_grad, value_grad, theta, padding, query_strides, key_strides,
            value_strides, out_strides, grad_out_strides, key_grad_strides, value_grad_strides,
            a, b, za, zb, u, w, rate, first, last, offset, columns, slab, eps,
            CHUNK, BLOCK, BLOCK_V, WIDTH, VALUES, COUNT, LAYOUT, ROTATED, REFLECTED, PADDED, DECAYED, NORMALIZED,
            LEARNED_ANGLES, LEARNED_VECTOR, INNER, PRECISION,
        )  # fmt: skip
        if STARTED and place == 0:
            store_matrix(start_grad + state, columns, a, b, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
            if NORMALIZED and slab == 0:
                store_vector(start_sum_grad + sums_at, za, zb, ENCODED, BLOCK, OUT_LAYOUT)
    program = (pair * tl.num_programs(1) + tl.program_id(1)) * tl.num_programs(2) + slab
    if LEARNED_ANGLES:
        j = tl.arange(0, BLOCK)
        tl.store(theta_parts + program * COUNT + j, angle_grad, mask=j < COUNT)
    if LEARNED_VECTOR:
        x, y = load_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT)
        u_grad, w_grad = unit_adjoint(x, y, u_grad, w_grad)
        store_vector(vector_parts + program * WIDTH, u_grad, w_grad, WIDTH, BLOCK, LAYOUT)

"""Query and key encoded in one launch, and the adjoint with the gradients of angles and of Householder's vector.

A program takes the rows of one block of positions and one head, for query and key: the sines are formed once for both.
The backward reads the outputs, which attention keeps anyway, instead of the inputs: both maps are unitary, so that the
inputs follow from them.
"""

from __future__ import annotations

import triton
import triton.language as tl

from lrpe.ops.triton.rotation import inner, position_of, reflect, rotate, rotate_back, rotation_at, unit, unit_adjoint
from lrpe.ops.triton.rows import load_parts, load_vector, store_parts, store_vector


@triton.jit
def row_pointers(pointer, strides, batch, head, rows):
    """Pointers to the rows of (batch, head), in 64 bits where the sizes need them."""
    return pointer + batch * strides[0] + head * strides[1] + rows.to(tl.int64) * strides[2]


@triton.jit(do_not_specialize=["offset", "length", "position_stride"])
def encode_forward(
    query,
    key,
    query_out,
    key_out,
    theta,
    vector,
    positions,
    query_strides,
    key_strides,
    query_out_strides,
    key_out_strides,
    theta_strides,
    vector_stride,
    position_stride,
    offset,
    length,
    heads,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    ENCODED: tl.constexpr,
    COUNT: tl.constexpr,
    AXES: tl.constexpr,
    LAYOUT: tl.constexpr,
    OUT_LAYOUT: tl.constexpr,
    REFLECTED: tl.constexpr,
    GIVEN: tl.constexpr,
):
    batch, head = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads
    rows = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    valid = rows < length
    cosine, sine = rotation_at(
        theta + head * theta_strides[1], theta_strides[0], positions + batch * position_stride, rows, valid, offset,
        AXES, COUNT, BLOCK, GIVEN,
    )  # fmt: skip
    for which in tl.static_range(2):
        source, strides = (query, query_strides) if which == 0 else (key, key_strides)
        target, out_strides = (query_out, query_out_strides) if which == 0 else (key_out, key_out_strides)
        a, b = load_parts(row_pointers(source, strides, batch, head, rows), valid, WIDTH, BLOCK, LAYOUT)
        if REFLECTED:
            u, w = load_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT)
            u, w = unit(u, w)
            a, b = reflect(a, b, u, w)
        a, b = rotate(a, b, cosine, sine)
        store_parts(row_pointers(target, out_strides, batch, head, rows), valid, a, b, ENCODED, BLOCK, OUT_LAYOUT)


@triton.jit(do_not_specialize=["offset", "length", "position_stride"])
def encode_backward(
    query_out,
    key_out,
    query_grad_out,
    key_grad_out,
    query_grad,
    key_grad,
    theta,
    vector,
    positions,
    theta_parts,
    vector_parts,
    query_out_strides,
    key_out_strides,
    query_grad_out_strides,
    key_grad_out_strides,
    query_grad_strides,
    key_grad_strides,
    theta_strides,
    vector_stride,
    position_stride,
    offset,
    length,
    heads,
    CHUNK: tl.constexpr,
    BLOCK: tl.constexpr,
    WIDTH: tl.constexpr,
    ENCODED: tl.constexpr,
    COUNT: tl.constexpr,
    AXES: tl.constexpr,
    LAYOUT: tl.constexpr,
    OUT_LAYOUT: tl.constexpr,
    REFLECTED: tl.constexpr,
    GIVEN: tl.constexpr,
    LEARNED_ANGLES: tl.constexpr,
    LEARNED_VECTOR: tl.constexpr,
):
    batch, head = (tl.program_id(0) // heads).to(tl.int64), tl.program_id(0) % heads
    rows = tl.program_id(1) * CHUNK + tl.arange(0, CHUNK)
    valid = rows < length
    positions += batch * position_stride
    cosine, sine = rotation_at(
        theta + head * theta_strides[1], theta_strides[0], positions, rows, valid, offset, AXES, COUNT, BLOCK, GIVEN
    )
    real: tl.constexpr = LAYOUT == "real"
    angle_grad = tl.zeros((CHUNK, BLOCK), tl.float32)
    u_grad, w_grad = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    if REFLECTED:
        u, w = load_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT)
        u, w = unit(u, w)
    for which in tl.static_range(2):
        upstream, up_strides = (
            (query_grad_out, query_grad_out_strides) if which == 0 else (key_grad_out, key_grad_out_strides)
        )
        target, strides = (query_grad, query_grad_strides) if which == 0 else (key_grad, key_grad_strides)
        da, db = load_parts(row_pointers(upstream, up_strides, batch, head, rows), valid, ENCODED, BLOCK, OUT_LAYOUT)
        if LEARNED_ANGLES or LEARNED_VECTOR:
            out, out_strides = (query_out, query_out_strides) if which == 0 else (key_out, key_out_strides)
            a, b = load_parts(row_pointers(out, out_strides, batch, head, rows), valid, ENCODED, BLOCK, OUT_LAYOUT)
            angle_grad += a * db - b * da
        da, db = rotate_back(da, db, cosine, sine, real)
        if LEARNED_VECTOR:
            a, b = rotate_back(a, b, cosine, sine, real)
            a, b = reflect(a, b, u, w)  # the input again
            along, across = inner(a, b, u, w), inner(da, db, u, w)
            u_grad -= 2 * tl.sum(along * da + across * a, axis=0)
            w_grad -= 2 * tl.sum(along * db + across * b, axis=0)
        if REFLECTED:
            da, db = reflect(da, db, u, w)
        store_parts(row_pointers(target, strides, batch, head, rows), valid, da, db, WIDTH, BLOCK, LAYOUT)
    program = tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)
    if LEARNED_ANGLES:
        j = tl.arange(0, BLOCK)
        for axis in tl.static_range(AXES):
            s = position_of(positions, rows, valid, offset, axis, AXES, GIVEN).to(tl.float32)
            total = tl.sum(s[:, None] * angle_grad, axis=0)
            tl.store(theta_parts + (program * AXES + axis) * COUNT + j, total, mask=j < COUNT)
    if LEARNED_VECTOR:
        x, y = load_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT)
        u_grad, w_grad = unit_adjoint(x, y, u_grad, w_grad)
        store_vector(vector_parts + program * WIDTH, u_grad, w_grad, WIDTH, BLOCK, LAYOUT)

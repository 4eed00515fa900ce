"""Causal linear attention, query and key encoded on the way: summaries of segments, then the outputs.

The sequence is cut into segments, each of them walked through chunk by chunk by one program with the state in
registers. Where batch x heads fill the card there is one segment: one launch, 8 d bytes per token and head in bfloat16.
Else each segment's sum of k v^T is formed first, in parallel, and every program adds up those before its own: 4 d bytes
more (key and value are read twice) and one state per segment, instead of the 4 d^2 / C bytes per token that a state for
every chunk of C would cost.
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
from lrpe.ops.triton.rows import store_matrix, store_vector


@triton.jit(do_not_specialize=["offset", "length", "segment", "segments", "heads"])
def summarize_segments(
    source,
    value,
    out,
    total,
    theta,
    vector,
    log_decay,
    padding,
    summaries,
    summary_sums,
    source_strides,
    value_strides,
    out_strides,
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
    BACKWARD: tl.constexpr,
    INNER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """sum_t g^(end-t) k_t v_t^T of every segment; BACKWARD: sum_s g^(s-start+1) q_s do_s^T, ``value`` being do.

    The sums beside them are those without v (with the gradient of the denominator in its place).
    """
    pair = tl.program_id(0).to(tl.int64)
    batch, head = pair // heads, pair % heads
    place = tl.program_id(1)
    columns = tl.program_id(2) * BLOCK_V + tl.arange(0, BLOCK_V)
    rate = load_rate(log_decay, head, DECAYED)
    u, w = unit_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT, REFLECTED)
    source += batch * source_strides[0] + head * source_strides[1]
    value += batch * value_strides[0] + head * value_strides[1]
    out += batch * out_strides[0] + head * out_strides[1]
    padding += batch * length
    total += pair * length
    first, last = place * segment, tl.minimum((place + 1) * segment, length)
    a, b = tl.zeros((BLOCK, BLOCK_V), tl.float32), tl.zeros((BLOCK, BLOCK_V), tl.float32)
    za, zb = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for chunk in range(tl.cdiv(last - first, CHUNK)):
        begin = first + chunk * CHUNK
        rows = begin + tl.arange(0, CHUNK)
        valid = rows < last
        cosine, sine = sines(theta + head * theta_stride, rows, valid, offset, COUNT, BLOCK, ROTATED)
        seen = valid if BACKWARD else seen_keys(padding, rows, valid, PADDED)
        wide = rows.to(tl.int64)
        x, y = encoded(
            source + wide * source_strides[2], seen, u, w, cosine, sine, WIDTH, BLOCK, LAYOUT, ROTATED, REFLECTED
        )
        inside = valid[:, None] & (columns < VALUES)[None, :]
        v = tl.load(value + (wide * value_strides[2])[:, None] + columns[None, :], mask=inside, other=0.0)
        # What lies behind (before, if BACKWARD) is decayed by as many steps as this chunk is long, or as are between.
        steps = (rows - first + 1) if BACKWARD else (last - 1 - rows)
        weight = power(rate, steps, DECAYED)
        weight = tl.where(seen, weight, 0.0)
        extra = weight
        if BACKWARD and NORMALIZED:
            sums = tl.load(total + rows, mask=valid, other=1.0)
            inverse, slope = denominator_gradient(
                value, out, rows, valid, sums, value_strides, out_strides, eps, VALUES, BLOCK_V
            )
            extra = weight * slope
            weight *= inverse
        a += product(tl.trans(x * weight[:, None]), v, INNER, PRECISION)
        b += product(tl.trans(y * weight[:, None]), v, INNER, PRECISION)
        if NORMALIZED:
            za += tl.sum(x * extra[:, None], axis=0)
            zb += tl.sum(y * extra[:, None], axis=0)
    index = pair * segments + place
    store_matrix(summaries + index * ENCODED * VALUES, columns, a, b, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
    if NORMALIZED and tl.program_id(2) == 0:
        store_vector(summary_sums + index * ENCODED, za, zb, ENCODED, BLOCK, OUT_LAYOUT)


@triton.jit(do_not_specialize=["offset", "length", "segment", "segments", "heads"])
def attend_forward(
    query,
    key,
    value,
    out,
    total,
    theta,
    vector,
    log_decay,
    padding,
    start,
    start_sum,
    end,
    end_sum,
    summaries,
    summary_sums,
    query_strides,
    key_strides,
    value_strides,
    out_strides,
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
    KEEP_END: tl.constexpr,
    INNER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    pair = tl.program_id(0).to(tl.int64)
    batch, head = pair // heads, pair % heads
    place = tl.program_id(1)
    columns = tl.program_id(2) * BLOCK_V + tl.arange(0, BLOCK_V)
    rate = load_rate(log_decay, head, DECAYED)
    u, w = unit_vector(vector + head * vector_stride, WIDTH, BLOCK, LAYOUT, REFLECTED)
    query += batch * query_strides[0] + head * query_strides[1]
    key += batch * key_strides[0] + head * key_strides[1]
    value += batch * value_strides[0] + head * value_strides[1]
    out += batch * out_strides[0] + head * out_strides[1]
    padding += batch * length
    total += pair * length
    state = pair * ENCODED * VALUES
    a, b, za, zb = start_state(
        start + state, start_sum + pair * ENCODED, summaries + state * segments,
        summary_sums + pair * segments * ENCODED, 0, place, 1, length, segment, rate, columns,
        ENCODED, VALUES, BLOCK, OUT_LAYOUT, STARTED, NORMALIZED, DECAYED,
    )  # fmt: skip
    inside_decay = decay_inside(rate, CHUNK, DECAYED)
    first, last = place * segment, tl.minimum((place + 1) * segment, length)
    for chunk in range(tl.cdiv(last - first, CHUNK)):
        begin = first + chunk * CHUNK
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
        scores = product(qa, tl.trans(ka), query.dtype.element_ty, PRECISION)
        scores += product(qb, tl.trans(kb), query.dtype.element_ty, PRECISION)
        scores *= inside_decay
        since = power(rate, rows - begin + 1, DECAYED)
        result = product(qa, a, INNER, PRECISION) + product(qb, b, INNER, PRECISION)
        result = result * since[:, None] + product(scores, v, INNER, PRECISION)
        if NORMALIZED:
            sums = tl.sum(qa * za[None, :] + qb * zb[None, :], axis=1) * since + tl.sum(scores, axis=1)
            result /= tl.maximum(sums, eps)[:, None]
            if tl.program_id(2) == 0:
                tl.store(total + rows, sums, mask=valid)
        tl.store(
            out + (wide * out_strides[2])[:, None] + columns[None, :], result.to(out.dtype.element_ty), mask=inside
        )
        # the state moves on to the chunk's last token
        size = tl.minimum(last - begin, CHUNK)
        kept = decayed(rate, size, DECAYED)
        weight = power(rate, size - 1 - (rows - begin), DECAYED)
        ka, kb = ka * weight[:, None], kb * weight[:, None]
        a = a * kept + product(tl.trans(ka), v, INNER, PRECISION)
        b = b * kept + product(tl.trans(kb), v, INNER, PRECISION)
        if NORMALIZED:
            za, zb = za * kept + tl.sum(ka, axis=0), zb * kept + tl.sum(kb, axis=0)
    if KEEP_END and place == segments - 1:
        store_matrix(end + state, columns, a, b, ENCODED, VALUES, BLOCK, OUT_LAYOUT)
        if NORMALIZED and tl.program_id(2) == 0:
            store_vector(end_sum + pair * ENCODED, za, zb, ENCODED, BLOCK, OUT_LAYOUT)

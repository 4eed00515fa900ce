"""Causal linear attention in chunks: O(n d^2 + n C d) time and O(n d) memory, forward and backward.

Inside a chunk of C tokens the scores are formed as in the definition; everything before the chunk enters through the
d x d state at its start. Chunks are taken in blocks (:mod:`lrpe.ops.blocks`): on a CPU small enough that a block's
scores and states stay in cache and large enough that the matrix products are not tiny, on a GPU all at once. Forward
keeps the states at the chunks' starts for backward (n d / C rows of d), and nothing of size n x C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrpe.ops.blocks import Decays, block_chunks, blocks


def weighted_sum(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor | None, chunk_size: int
) -> tuple[Tensor, Tensor]:
    """out_s = q_s^T S_0 g^(s+1) + sum_(t<=s) g^(s-t) <q_s, k_t> v_t, and the state after the last token.

    Args:
        query, key: ``(batch, heads, length, key_dim)``, all of one dtype, float32 or float64.
        value: ``(batch, heads, length, value_dim)``.
        log_decay: ``(heads,)``, not differentiated, or None.
        state: ``(batch, heads, key_dim, value_dim)`` before the first token, or None for zeros.
        chunk_size: C.

    Returns:
        out ``(batch, heads, length, value_dim)`` and the state ``(batch, heads, key_dim, value_dim)``.
    """
    batch, heads, length, key_dim = query.shape
    value_dim = value.shape[-1]
    state = None if state is None else state.reshape(batch * heads, key_dim, value_dim)
    rows = [x.reshape(batch * heads, length, x.shape[-1]) for x in (query, key, value)]
    out, end, _ = _forward(*rows, state, log_decay, batch, chunk_size)
    return out.reshape(batch, heads, length, value_dim), end.reshape(batch, heads, key_dim, value_dim)


# Operators of their own, so that torch.compile takes each whole instead of unrolling its loop for one length.
@torch.library.custom_op("lrpe::chunked_forward", mutates_args=())
def _forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    state: Tensor | None,
    log_decay: Tensor | None,
    batch: int,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``(rows, length, .)``: out, the state after it, and the states at the chunks' starts, those of whole chunks
    first (one axis for rows and chunks: torch.compile takes an axis of one for a constant)."""
    parts: list[tuple[Tensor, Tensor]] = []
    for tokens, _, size in _parts(query.shape[1], chunk_size):
        q, k, v = (_in_chunks(x, tokens, size) for x in (query, key, value))
        out, start, state = _forward_chunks(q, k, v, state, log_decay, batch)
        parts.append((out, start))
    assert state is not None
    outs, starts = zip(*parts, strict=True)
    return _joined(outs, dim=1), state, _joined(starts, dim=0)


@_forward.register_fake
def _(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    state: Tensor | None,
    log_decay: Tensor | None,
    batch: int,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor]:
    chunks = (query.shape[1] + chunk_size - 1) // chunk_size
    starts = query.new_empty(query.shape[0] * chunks, key.shape[-1], value.shape[-1])
    end = query.new_empty(query.shape[0], key.shape[-1], value.shape[-1])
    return torch.empty_like(value), end, starts


@torch.library.custom_op("lrpe::chunked_backward", mutates_args=())
def _backward(
    grad_out: Tensor,
    grad_end: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of query, key, value and the state before them."""
    parts = []
    for tokens, chunks, size in reversed(_parts(query.shape[1], chunk_size)):
        q, k, v, grad = (_in_chunks(x, tokens, size) for x in (query, key, value, grad_out))
        states = starts[chunks.start * len(query) : chunks.stop * len(query)]
        *found, grad_end = _backward_chunks(q, k, v, grad, states, grad_end, log_decay, batch)
        parts.insert(0, found)
    assert grad_end is not None
    grad_query, grad_key, grad_value = (_joined(found, dim=1) for found in zip(*parts, strict=True))
    return grad_query, grad_key, grad_value, grad_end


@_backward.register_fake
def _(
    grad_out: Tensor,
    grad_end: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
    chunk_size: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    grad_state = query.new_empty(query.shape[0], key.shape[-1], value.shape[-1])
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value), grad_state


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    query, key, value, state, log_decay, ctx.batch, ctx.chunk_size = inputs
    ctx.has_state = state is not None
    ctx.set_materialize_grads(False)  # the states' gradients would be zeros of their size, written for nothing
    ctx.save_for_backward(query, key, value, log_decay, output[2])


def _differentiate(
    ctx: Any, grad_out: Tensor | None, grad_end: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    query, key, value, log_decay, starts = ctx.saved_tensors
    grad_out = torch.zeros_like(value) if grad_out is None else grad_out.contiguous()
    grad_end = None if grad_end is None else grad_end.contiguous()
    *gradients, grad_state = _backward(
        grad_out, grad_end, query, key, value, starts, log_decay, ctx.batch, ctx.chunk_size
    )
    return *gradients, grad_state if ctx.has_state else None, None, None, None


_forward.register_autograd(_differentiate, setup_context=_setup_context)


def _parts(length: int, chunk_size: int) -> list[tuple[slice, slice, int]]:
    """(tokens, chunks, tokens per chunk): the whole chunks, and the rest as one shorter chunk, which needs no padding,
    whose decay would have to be undone."""
    whole = length // chunk_size
    parts = [(slice(0, whole * chunk_size), slice(0, whole), chunk_size)] if whole else []
    if rest := length % chunk_size:
        parts.append((slice(length - rest, length), slice(whole, whole + 1), rest))
    return parts


def _in_chunks(x: Tensor, tokens: slice, size: int) -> Tensor:
    """``(rows, length, .)`` -> ``(rows, chunks, size, .)`` of the tokens; a copy where they are not all."""
    return x[:, tokens].contiguous().unflatten(1, (-1, size))


def _joined(parts: tuple[Tensor, ...], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _forward_chunks(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor | None, log_decay: Tensor | None, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``(rows, chunks, size, .)``: out, the states at the chunks' starts ``(rows * chunks, .)``, and the state after
    the last."""
    rows, chunks, chunk_size, key_dim = query.shape
    decays = Decays(log_decay, batch, chunk_size)
    out, starts = torch.empty_like(value), query.new_empty(rows * chunks, key_dim, value.shape[-1])
    end, before = query.new_empty(rows, key_dim, value.shape[-1]), state
    flat = [starts, *(x.flatten(0, 1) for x in (query, key, value, out))]
    largest = block_chunks(query.device, rows, chunks)
    scores, summary = _buffers(query, largest, (chunk_size, chunk_size), (key_dim, value.shape[-1]))
    for block in blocks(rows, chunks, largest, decays):
        s, q, k, v, o = (block.of(x) for x in flat)
        if block.starts_row:
            before = None if state is None else state[block.rows]
        torch.bmm(block.scaled(k, decays.key).mT, v, out=summary[: len(q)])
        before = block.accumulate(before, summary[: len(q)], s)
        torch.bmm(q, s, out=o)
        block.scale_(o, decays.query)
        torch.bmm(q, k.mT, out=scores[: len(q)])
        o.baddbmm_(block.mask_(scores[: len(q)]), v)
        if block.is_all:
            end = before
        elif block.ends_row:
            end[block.rows] = before
    return out.flatten(1, 2), starts, end


def _backward_chunks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    grad_out: Tensor,
    starts: Tensor,
    grad_end: Tensor | None,
    log_decay: Tensor | None,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, chunks, chunk_size, key_dim = query.shape
    decays = Decays(log_decay, batch, chunk_size)
    gradients = [torch.empty_like(x) for x in (query, key, value)]
    grad_state, after = query.new_empty(rows, key_dim, value.shape[-1]), grad_end
    flat = [starts, *(x.flatten(0, 1) for x in (query, key, value, grad_out, *gradients))]
    state_shape = (key_dim, value.shape[-1])
    largest = block_chunks(query.device, rows, chunks)
    buffers = _buffers(query, largest, (chunk_size, chunk_size), state_shape, state_shape)
    for block in blocks(rows, chunks, largest, decays, reverse=True):
        s, q, k, v, g, grad_q, grad_k, grad_v = (block.of(x) for x in flat)
        scores, summary, ends = (x[: len(q)] for x in buffers)
        if block.ends_row:
            after = None if grad_end is None else grad_end[block.rows]
        # the gradient of each chunk's end state is what the later chunks send back
        torch.bmm(block.scaled(q, decays.query).mT, g, out=summary)
        after = block.accumulate(after, summary, ends, reverse=True)
        torch.bmm(g, s.mT, out=grad_q)
        torch.bmm(v, ends.mT, out=grad_k)
        torch.bmm(k, ends, out=grad_v)
        block.scale_(grad_q, decays.query)
        block.scale_(grad_k, decays.key)
        block.scale_(grad_v, decays.key)
        torch.bmm(g, v.mT, out=scores)
        block.mask_(scores)
        grad_q.baddbmm_(scores, k)
        grad_k.baddbmm_(scores.mT, q)
        torch.bmm(q, k.mT, out=scores)
        grad_v.baddbmm_(block.mask_(scores).mT, g)
        if block.is_all:
            grad_state = after
        elif block.starts_row:
            grad_state[block.rows] = after
    grad_query, grad_key, grad_value = (x.flatten(1, 2) for x in gradients)
    return grad_query, grad_key, grad_value, grad_state


def _buffers(like: Tensor, chunks: int, *shapes: tuple[int, int]) -> list[Tensor]:
    return [like.new_empty(chunks, *shape) for shape in shapes]

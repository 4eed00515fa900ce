"""Causal linear attention in chunks: O(n d^2 + n C d) time and O(n d) memory, forward and backward.

Inside a chunk of C tokens the scores are formed as in the definition; everything before the chunk enters through the
d x d state at its start. Chunks are taken in blocks, small enough that a block's scores and states stay in cache and
large enough that the matrix products are not tiny. Forward keeps the states at the chunks' starts for backward (n d / C
rows of d), and nothing of size n x C.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

BLOCK_CHUNKS = 32  # a block's queries, say, are 512 KiB at 64 x 64 float32


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
    if state is None:
        state = query.new_zeros(batch, heads, key_dim, value_dim)
    whole = length - length % chunk_size
    if 0 < whole < length:  # the tail is one shorter chunk: no padding, whose decay would have to be undone
        parts = [x.split([whole, length - whole], dim=-2) for x in (query, key, value)]
        head, state = weighted_sum(*(part[0] for part in parts), log_decay, state, chunk_size)
        tail, state = weighted_sum(*(part[1] for part in parts), log_decay, state, length - whole)
        return torch.cat([head, tail], dim=-2), state
    chunk_size = min(chunk_size, length)
    flat = [x.reshape(batch * heads, -1, chunk_size, x.shape[-1]) for x in (query, key, value)]
    out, end, _ = _forward(*flat, state.reshape(batch * heads, key_dim, value_dim), log_decay, batch)
    return out.reshape(batch, heads, length, value_dim), end.reshape(batch, heads, key_dim, value_dim)


class _Decays:
    """Powers of g that a chunk needs, a row each, from differences of positions; None stands for one everywhere."""

    def __init__(self, log_decay: Tensor | None, batch: int, chunk_size: int) -> None:
        self.inside = self.query = self.key = self.chunk = None
        if log_decay is None:
            return
        rows = log_decay.repeat(batch)
        position = torch.arange(chunk_size, device=rows.device, dtype=rows.dtype)

        def power(exponent: Tensor) -> Tensor:
            return torch.exp(rows[:, None, None, None] * exponent)  # (rows, 1, ., .): the same for all chunks of a row

        distance = position[:, None] - position
        self.inside = power(distance.clamp(min=0)).tril()  # g^(i-j)
        self.query = power(position[:, None] + 1)  # from the chunk's start to i
        self.key = power(chunk_size - 1 - position[:, None])  # from j to the chunk's end
        self.chunk = power(torch.full_like(rows[:1, None], chunk_size))


class _Block:
    """Chunks that are worked on together: whole rows, or a part of one row, so contiguous in ``(rows * chunks, ...)``.

    Attributes:
        rows, chunks: of the block, as slices.
        starts_row, ends_row: it has the first, the last chunk of its rows.
    """

    def __init__(self, rows: slice, chunks: slice, total: int, decays: _Decays) -> None:
        self.rows, self.chunks, self.total, self.decays = rows, chunks, total, decays
        self.shape = (rows.stop - rows.start, chunks.stop - chunks.start)
        self.starts_row, self.ends_row = chunks.start == 0, chunks.stop == total

    def of(self, x: Tensor) -> Tensor:
        """The block of ``(rows * chunks, ...)``, a view."""
        start = self.rows.start * self.total + self.chunks.start
        return x[start : start + self.shape[0] * self.shape[1]]

    def scaled(self, x: Tensor, factor: Tensor | None) -> Tensor:
        """x times a row's factor, a new tensor; x itself without decay."""
        return x if factor is None else (x.unflatten(0, self.shape) * factor[self.rows]).flatten(0, 1)

    def scale_(self, x: Tensor, factor: Tensor | None) -> Tensor:
        if factor is not None:
            x.unflatten(0, self.shape).mul_(factor[self.rows])
        return x

    def mask_(self, scores: Tensor) -> Tensor:
        """g^(i-j) for j <= i, else 0."""
        return scores.tril_() if self.decays.inside is None else self.scale_(scores, self.decays.inside)

    def accumulate(self, state: Tensor, summary: Tensor, out: Tensor, reverse: bool = False) -> Tensor:
        """The states before each chunk into ``out``, and the state after all: S_c+1 = g^C S_c + summary_c.

        ``reverse`` goes from the last chunk to the first, which is what gradients do.
        """
        summaries, states = (list(x.unflatten(0, self.shape).unbind(1)) for x in (summary, out))
        if reverse:
            summaries.reverse()
            states.reverse()
        states[0].copy_(state)
        states.append(torch.empty_like(state))
        for own, before, after in zip(summaries, states, states[1:], strict=False):
            if self.decays.chunk is None:
                torch.add(own, before, out=after)
            else:
                torch.addcmul(own, before, self.decays.chunk[self.rows, 0], out=after)
        return states[-1]


def _blocks(rows: int, chunks: int, decays: _Decays, reverse: bool = False) -> Iterator[_Block]:
    """All chunks, at most ``BLOCK_CHUNKS`` at a time; a row's blocks follow each other in the recursion's order."""
    height, width = max(1, BLOCK_CHUNKS // chunks), min(chunks, BLOCK_CHUNKS)
    spans = [slice(first, min(first + width, chunks)) for first in range(0, chunks, width)]
    for first in range(0, rows, height):
        for span in reversed(spans) if reverse else spans:
            yield _Block(slice(first, min(first + height, rows)), span, chunks, decays)


# Operators of their own, so that torch.compile takes each whole instead of unrolling its loop for one length.
@torch.library.custom_op("lrpe::chunked_forward", mutates_args=())
def _forward(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor, log_decay: Tensor | None, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    rows, chunks, chunk_size, key_dim = query.shape
    decays = _Decays(log_decay, batch, chunk_size)
    out, starts = torch.empty_like(value), query.new_empty(rows, chunks, key_dim, value.shape[-1])
    end, before = torch.empty_like(state), state
    flat = [x.flatten(0, 1) for x in (query, key, value, out, starts)]
    scores, summary = _buffers(query.new_empty(0), (chunk_size, chunk_size), (key_dim, value.shape[-1]))
    for block in _blocks(rows, chunks, decays):
        q, k, v, o, s = (block.of(x) for x in flat)
        if block.starts_row:
            before = state[block.rows]
        torch.bmm(block.scaled(k, decays.key).mT, v, out=summary[: len(q)])
        before = block.accumulate(before, summary[: len(q)], s)
        torch.bmm(q, s, out=o)
        block.scale_(o, decays.query)
        torch.bmm(q, k.mT, out=scores[: len(q)])
        o.baddbmm_(block.mask_(scores[: len(q)]), v)
        if block.ends_row:
            end[block.rows] = before
    return out, end, starts


@_forward.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor, log_decay: Tensor | None, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    starts = query.new_empty(query.shape[0], query.shape[1], key.shape[-1], value.shape[-1])
    return torch.empty_like(value), torch.empty_like(state), starts


@torch.library.custom_op("lrpe::chunked_backward", mutates_args=())
def _backward(
    grad_out: Tensor,
    grad_end: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, chunks, chunk_size, key_dim = query.shape
    decays = _Decays(log_decay, batch, chunk_size)
    gradients = [torch.empty_like(x) for x in (query, key, value)]
    grad_state, after = torch.empty_like(grad_end), grad_end
    flat = [x.flatten(0, 1) for x in (query, key, value, grad_out, starts, *gradients)]
    state_shape = (key_dim, value.shape[-1])
    buffers = _buffers(query.new_empty(0), (chunk_size, chunk_size), state_shape, state_shape)
    for block in _blocks(rows, chunks, decays, reverse=True):
        q, k, v, g, s, grad_q, grad_k, grad_v = (block.of(x) for x in flat)
        scores, summary, ends = (x[: len(q)] for x in buffers)
        if block.ends_row:
            after = grad_end[block.rows]
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
        if block.starts_row:
            grad_state[block.rows] = after
    return *gradients, grad_state


def _buffers(like: Tensor, *shapes: tuple[int, int]) -> list[Tensor]:
    return [like.new_empty(BLOCK_CHUNKS, *shape) for shape in shapes]


@_backward.register_fake
def _(
    grad_out: Tensor,
    grad_end: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tuple(torch.empty_like(x) for x in (query, key, value, grad_end))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    query, key, value, _, log_decay, ctx.batch = inputs
    ctx.set_materialize_grads(False)  # the states' gradients would be zeros of their size, written for nothing
    ctx.save_for_backward(query, key, value, log_decay, output[2])


def _differentiate(
    ctx: Any, grad_out: Tensor | None, grad_end: Tensor | None, _: Tensor | None
) -> tuple[Tensor | None, ...]:
    query, key, value, log_decay, starts = ctx.saved_tensors
    grad_out = torch.zeros_like(value) if grad_out is None else grad_out.contiguous()
    grad_end = torch.zeros_like(starts[:, 0]) if grad_end is None else grad_end.contiguous()
    return *_backward(grad_out, grad_end, query, key, value, starts, log_decay, ctx.batch), None, None


_forward.register_autograd(_differentiate, setup_context=_setup_context)

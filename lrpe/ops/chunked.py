"""Causal linear attention in chunks: O(n d^2 + n C d) time and O(n d) memory, forward and backward.

Inside a chunk of C tokens the scores are formed as in the definition; everything before the chunk enters through the
d x d state at its start. Chunks are taken in groups, small enough that a group's scores and states stay in cache and
large enough that the matrix products are not tiny. Forward keeps the states at the chunks' starts for backward (n d / C
rows of d), and nothing of size n x C.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GROUP_ROWS = 128  # chunks x batch x heads per group: about 2 MiB of scores at 64 x 64 float32


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
    """Powers of g that a chunk needs, each from a difference of positions; None stands for one everywhere."""

    def __init__(self, log_decay: Tensor | None, batch: int, chunk_size: int, group: int) -> None:
        self.inside = self.query = self.key = self.chunk = self.between = None
        if log_decay is None:
            return
        rows = log_decay.repeat(batch)
        position = torch.arange(chunk_size, device=rows.device, dtype=rows.dtype)

        def power(exponent: Tensor) -> Tensor:
            return torch.exp(rows.view(-1, *[1] * exponent.dim()) * exponent)

        distance = position[:, None] - position
        self.inside = power(distance.clamp(min=0)).tril().unsqueeze(1)  # (rows, 1, C, C): g^(i-j)
        self.query = power(position + 1)[:, None, :, None]  # from the chunk's start to i
        self.key = power(chunk_size - 1 - position)[:, None, :, None]  # from j to the chunk's end
        step = torch.arange(group + 1, device=rows.device, dtype=rows.dtype)
        self.chunk = power(step * chunk_size)  # (rows, group + 1): g^(C c)
        ahead = step[:, None] - 1 - step[:-1]
        self.between = power(ahead.clamp(min=0) * chunk_size) * (ahead >= 0)  # (rows, group + 1, group)


def _starts(summary: Tensor, state: Tensor, decays: _Decays) -> tuple[Tensor, Tensor]:
    """States at the starts of a group's chunks and after its last, from each chunk's own summary."""
    rows, group, key_dim, value_dim = summary.shape
    if decays.chunk is None:
        ends = torch.cumsum(torch.cat([state.unsqueeze(1), summary], dim=1), dim=1)
    else:
        ends = decays.between[:, : group + 1, :group] @ summary.flatten(2)
        ends = ends.view(rows, group + 1, key_dim, value_dim)
        ends = torch.addcmul(ends, decays.chunk[:, : group + 1, None, None], state.unsqueeze(1))
    return ends[:, :-1], ends[:, -1]


def _scaled(x: Tensor, factor: Tensor | None) -> Tensor:
    return x if factor is None else x * factor


def _masked(scores: Tensor, decays: _Decays) -> Tensor:
    return scores.tril_() if decays.inside is None else scores.mul_(decays.inside)


# Operators of their own, so that torch.compile takes each whole instead of unrolling its loop for one length.
@torch.library.custom_op("lrpe::chunked_forward", mutates_args=())
def _forward(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor, log_decay: Tensor | None, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    rows, chunks, chunk_size, _ = query.shape
    group = max(1, min(chunks, GROUP_ROWS // rows))
    decays = _Decays(log_decay, batch, chunk_size, group)
    out = value.new_empty(value.shape)
    starts = query.new_empty(rows, chunks, key.shape[-1], value.shape[-1])
    state = state.clone()
    for first in range(0, chunks, group):
        span = slice(first, first + group)
        q, k, v = query[:, span], key[:, span], value[:, span]
        starts[:, span], state = _starts(_scaled(k, decays.key).mT @ v, state, decays)
        inside = _masked(q @ k.mT, decays) @ v
        out[:, span] = inside.add_(_scaled(q, decays.query) @ starts[:, span])
    return out, state.contiguous(), starts


@_forward.register_fake
def _(
    query: Tensor, key: Tensor, value: Tensor, state: Tensor, log_decay: Tensor | None, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    starts = query.new_empty(query.shape[0], query.shape[1], key.shape[-1], value.shape[-1])
    return value.new_empty(value.shape), state.new_empty(state.shape), starts


@torch.library.custom_op("lrpe::chunked_backward", mutates_args=())
def _backward(
    grad_out: Tensor,
    grad_state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, chunks, chunk_size, _ = query.shape
    group = max(1, min(chunks, GROUP_ROWS // rows))
    decays = _Decays(log_decay, batch, chunk_size, group)
    grad_query, grad_key, grad_value = (x.new_empty(x.shape) for x in (query, key, value))
    grad_state = grad_state.clone()
    for first in reversed(range(0, chunks, group)):
        span = slice(first, first + group)
        q, k, v, g, s = query[:, span], key[:, span], value[:, span], grad_out[:, span], starts[:, span]
        # the gradient of each chunk's end state is what later chunks of the group, and the rest, send back
        summary = _scaled(q, decays.query).mT @ g
        ends, grad_state = _starts(summary.flip(1), grad_state, decays)
        ends = ends.flip(1)
        grad_scores = _masked(g @ v.mT, decays)
        grad_query[:, span] = (grad_scores @ k).add_(_scaled(g @ s.mT, decays.query))
        grad_key[:, span] = (grad_scores.mT @ q).add_(_scaled(v @ ends.mT, decays.key))
        scores = _masked(q @ k.mT, decays)
        grad_value[:, span] = (scores.mT @ g).add_(_scaled(k, decays.key) @ ends)
    return grad_query, grad_key, grad_value, grad_state.contiguous()


@_backward.register_fake
def _(
    grad_out: Tensor,
    grad_state: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    log_decay: Tensor | None,
    batch: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape), grad_state.clone()


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    query, key, value, _, log_decay, ctx.batch = inputs
    ctx.save_for_backward(query, key, value, log_decay, output[2])


def _differentiate(ctx: Any, grad_out: Tensor, grad_state: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    query, key, value, log_decay, starts = ctx.saved_tensors
    gradients = _backward(
        grad_out.contiguous(), grad_state.contiguous(), query, key, value, starts, log_decay, ctx.batch
    )
    return *gradients, None, None


_forward.register_autograd(_differentiate, setup_context=_setup_context)

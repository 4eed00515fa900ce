"""Padding, denominator, decay direction, dtypes and states around a back end's weighted sum."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from lrpe.ops.denominators import count_clamped
from lrpe.ops.problem import AttentionProblem
from lrpe.ops.state import LinearAttentionState


class WeightedSum(Protocol):
    """out_s = sum_t g^(s-t) <q_s, k_t> v_t, causal or over all t, and the state after the last token.

    ``log_decay`` is ``(heads,)`` or None, ``state`` is ``(batch, heads, key_dim, value_dim)`` or None. Without
    ``causal`` there is neither a state before nor one after.
    """

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor | None
    ) -> tuple[Tensor, Tensor | None]: ...


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Of sums and states: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    problem: AttentionProblem,
    weighted_sum: WeightedSum,
    *,
    work: torch.dtype,
    ones: int = 1,
) -> tuple[Tensor, LinearAttentionState | None]:
    """:func:`lrpe.ops.linear_attention` by a weighted sum.

    Args:
        work: dtype that query, key and value have in ``weighted_sum``; what it returns is divided in float32 at least.
        ones: columns added to the values for the denominator, of which the first is ones and the others zeros.
    """
    dtype, precise = value.dtype, sum_dtype(value.dtype)
    query, key, value = query.to(work), key.to(work), value.to(work)
    log_decay = None if problem.log_decay is None else problem.log_decay.detach().to(precise)
    own = problem.denominator_query is not None and problem.denominator_key is not None
    sums_query = problem.denominator_query.to(work) if problem.denominator_query is not None else query
    sums_key = problem.denominator_key.to(work) if problem.denominator_key is not None else key
    if problem.one_sided_decay and not problem.causal and log_decay is not None:
        if not problem.denominator or own:
            raise ValueError("one_sided_decay without causal: only a denominator of the same sums makes it finite")
        key, log_decay = key * _towards_the_end(log_decay, key, problem.key_padding_mask), None
        sums_key = key
    if problem.key_padding_mask is not None:
        hidden = problem.key_padding_mask[:, None, :, None]
        key = key.masked_fill(hidden, 0)
        sums_key = sums_key.masked_fill(hidden, 0) if own else key
    state = problem.state
    total = end_sum = None
    if problem.denominator and not own:  # the denominator is one more column of values, all ones
        width = value.shape[-1]
        value = torch.cat([value, _ones_column(value, ones)], dim=-1)
        key_sum = problem.key_sum()
        start = None
        if state is not None and key_sum is not None:
            column = key_sum.unsqueeze(-1)
            start = torch.cat([state.key_value, column, *[torch.zeros_like(column)] * (ones - 1)], dim=-1)
        out, end = weighted_sum(query, key, value, log_decay, start)
        out, total, *_ = out.split((width, 1, ones - 1) if ones > 1 else (width, 1), dim=-1)
        end_value, end_sum = (None, None) if end is None else (end[..., :width], end[..., width])
    else:
        out, end_value = weighted_sum(query, key, value, log_decay, state.key_value if state else None)
        if problem.denominator:
            key_sum = problem.key_sum()
            start = None if key_sum is None else key_sum.unsqueeze(-1)
            total, end_sum = weighted_sum(sums_query, sums_key, _ones_column(value, 1), log_decay, start)
            end_sum = None if end_sum is None else end_sum.squeeze(-1)
    if total is not None:
        total = total.to(precise)
        if problem.clamped is not None:
            count_clamped(problem.clamped, total, problem.eps)
        out = out.to(precise) / total.clamp(min=problem.eps)
    out = out.to(dtype)
    if not problem.return_state:
        return out, None
    assert end_value is not None
    position = (state.position if state else 0) + query.shape[-2]
    return out, LinearAttentionState(end_value, end_sum, position)


def _ones_column(value: Tensor, columns: int) -> Tensor:
    ones = value.new_ones(*value.shape[:-1], 1)
    return ones if columns == 1 else torch.cat([ones, value.new_zeros(*value.shape[:-1], columns - 1)], dim=-1)


def _towards_the_end(log_decay: Tensor, key: Tensor, key_padding_mask: Tensor | None) -> Tensor:
    """g^(e-t) with e the last key that is no padding: ``(batch or 1, heads, length, 1)``, 1 at the end."""
    position = torch.arange(key.shape[-2], device=key.device)
    end = position[-1:]
    if key_padding_mask is not None:
        end = torch.where(key_padding_mask, 0, position).amax(dim=-1, keepdim=True)
    ahead = (end.view(-1, 1, 1) - position).clamp(min=0)
    return torch.exp(log_decay[:, None] * ahead).unsqueeze(-1)

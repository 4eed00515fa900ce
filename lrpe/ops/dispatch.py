"""One function, three forms."""

from __future__ import annotations

from difflib import get_close_matches

import torch
from torch import Tensor

from lrpe.ops import chunked, definition, recurrent
from lrpe.ops.backend import MAX_KERNEL_DIM, runs_definition, runs_triton
from lrpe.ops.denominators import count_clamped
from lrpe.ops.state import LinearAttentionState

FORMS = ("auto", "definition", "chunked", "recurrent")


def linear_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    causal: bool = True,
    log_decay: Tensor | None = None,
    one_sided_decay: bool = False,
    denominator: bool = False,
    eps: float = 1e-6,
    clamped: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    denominator_query: Tensor | None = None,
    denominator_key: Tensor | None = None,
    form: str = "auto",
    chunk_size: int = 64,
    state: LinearAttentionState | None = None,
    return_state: bool = False,
) -> Tensor | tuple[Tensor, LinearAttentionState]:
    """out_s = sum_(t<=s) g^(s-t) <q_s, k_t> v_t, over max(sum_(t<=s) g^(s-t) <q_s, k_t>, eps) where asked for.

    Without ``causal`` the sums run over all t, with g^|s-t|, or with ``one_sided_decay`` g^(s-t), which grows for later
    keys; the fraction is then computed with g^(n-1-t), the same after the common factor g^(s-n+1) is cancelled. Sums
    and state are float32 for float16, bfloat16 and float32 inputs, float64 for float64 (DESIGN section 4;
    Katharopoulos et al. 2020, eq. 4 to 12).

    Args:
        query, key: feature maps, encoded; ``(batch, heads, length, key_dim)``.
        value: ``(batch, heads, length, value_dim)``.
        causal: sum over the past only.
        log_decay: log g a head, ``(heads,)``, at most 0; None for g = 1. Not differentiated.
        one_sided_decay: see above; a causal sum cannot tell the two apart.
        denominator: divide by the sum without v, clamped from below at ``eps``.
        clamped: Int64[2], to which the numbers of clamped denominators and of all are added.
        key_padding_mask: bool ``(batch, length)``, True where a key is padding and contributes nothing.
        denominator_query, denominator_key: take the denominator from these instead (the published image rows use the
            features before encoding); ``(batch, heads, length, any_dim)``.
        form: ``definition`` (quadratic), ``chunked``, ``recurrent`` or ``auto``.
        chunk_size: tokens a chunk.
        state: of the tokens before these (causal only).
        return_state: also return the state after these.

    Returns:
        ``(batch, heads, length, value_dim)`` in ``value``'s dtype, and the state if asked for.

    Raises:
        ValueError: shapes that do not fit, an unknown form, a state without ``causal``, a one-sided decay without
            ``causal`` and ``denominator``.
    """
    _check(query, key, value, causal, log_decay, key_padding_mask, form, chunk_size, state)
    if form == "auto" and runs_definition():
        form = "definition"
    narrow = query.shape[-1] <= 2 * MAX_KERNEL_DIM and value.shape[-1] <= MAX_KERNEL_DIM  # the unitary core doubles
    if form == "auto" and causal and denominator_query is None and narrow and runs_triton(query, key, value):
        from lrpe.ops.triton.attention import attend

        if denominator and state is not None:
            _key_sum(state)
        out, after = attend(
            query, key, value, log_decay=log_decay, denominator=denominator, eps=eps, clamped=clamped,
            key_padding_mask=key_padding_mask, state=state, return_state=return_state,
        )  # fmt: skip
        return (out, after) if return_state else out
    dtype, work = value.dtype, torch.float64 if value.dtype == torch.float64 else torch.float32
    query, key, value = query.to(work), key.to(work), value.to(work)
    log_decay = None if log_decay is None else log_decay.detach().to(work)
    own = denominator_query is not None
    sums_query = denominator_query.to(work) if denominator_query is not None else query
    sums_key = denominator_key.to(work) if denominator_key is not None else key
    if one_sided_decay and not causal and log_decay is not None:
        if not denominator or own:
            raise ValueError("one_sided_decay without causal: only a denominator of the same sums makes it finite")
        key, log_decay = key * _towards_the_end(log_decay, key, key_padding_mask), None
        sums_key = key
    if key_padding_mask is not None:
        hidden = key_padding_mask[:, None, :, None]
        key = key.masked_fill(hidden, 0)
        sums_key = sums_key.masked_fill(hidden, 0) if own else key
    position = state.position if state else 0
    if denominator and not own:  # the denominator is one more column of values, all ones
        value = torch.cat([value, value.new_ones(*value.shape[:-1], 1)], dim=-1)
        start = None
        if state is not None:
            start = torch.cat([state.key_value, _key_sum(state).unsqueeze(-1)], dim=-1)
        out, end = _sum(query, key, value, causal, log_decay, start, form, chunk_size)
        out, total = out[..., :-1], out[..., -1:]
        end_value, end_sum = (None, None) if end is None else (end[..., :-1], end[..., -1])
    else:
        out, end_value = _sum(
            query, key, value, causal, log_decay, state.key_value if state else None, form, chunk_size
        )
        total = end_sum = None
        if denominator:
            ones = value.new_ones(*value.shape[:-1], 1)
            start = _key_sum(state).unsqueeze(-1) if state else None
            total, end_sum = _sum(sums_query, sums_key, ones, causal, log_decay, start, form, chunk_size)
            end_sum = None if end_sum is None else end_sum.squeeze(-1)
    if total is not None:
        if clamped is not None:
            count_clamped(clamped, total, eps)
        out = out / total.clamp(min=eps)
    out = out.to(dtype)
    if not return_state:
        return out
    return out, LinearAttentionState(end_value, end_sum, position + query.shape[-2])


def _towards_the_end(log_decay: Tensor, key: Tensor, key_padding_mask: Tensor | None) -> Tensor:
    """g^(e-t) with e the last key that is no padding: ``(batch or 1, heads, length, 1)``, 1 at the end."""
    position = torch.arange(key.shape[-2], device=key.device)
    end = position[-1:]
    if key_padding_mask is not None:
        end = torch.where(key_padding_mask, 0, position).amax(dim=-1, keepdim=True)
    ahead = (end.view(-1, 1, 1) - position).clamp(min=0)
    return torch.exp(log_decay[:, None] * ahead).unsqueeze(-1)


def _sum(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    causal: bool,
    log_decay: Tensor | None,
    state: Tensor | None,
    form: str,
    chunk_size: int,
) -> tuple[Tensor, Tensor | None]:
    length = query.shape[-2]
    if not causal:
        return _bidirectional(query, key, value, log_decay, form, chunk_size), None
    if form == "auto":
        form = "recurrent" if length == 1 else "chunked"
    if form == "chunked":
        return chunked.weighted_sum(query, key, value, log_decay, state, chunk_size)
    if form == "recurrent" or state is not None:
        if state is None:
            state = query.new_zeros(*query.shape[:2], query.shape[-1], value.shape[-1])
        return recurrent.weighted_sum(query, key, value, log_decay, state)
    out = definition.weighted_sum(query, key, value, log_decay, causal)
    return out, _end_state(key, value, log_decay)


def _end_state(key: Tensor, value: Tensor, log_decay: Tensor | None) -> Tensor:
    if log_decay is not None:
        ahead = torch.arange(key.shape[-2] - 1, -1, -1, device=key.device)
        key = key * torch.exp(log_decay[:, None] * ahead)[..., None]
    return key.mT @ value


def _bidirectional(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, form: str, chunk_size: int
) -> Tensor:
    if form in ("definition", "recurrent"):
        return definition.weighted_sum(query, key, value, log_decay, causal=False)
    if log_decay is None:
        return query @ (key.mT @ value)
    past, _ = chunked.weighted_sum(query, key, value, log_decay, None, chunk_size)
    mirrored = (x.flip(-2) for x in (query, key, value))
    future, _ = chunked.weighted_sum(*mirrored, log_decay, None, chunk_size)
    present = (query * key).sum(-1, keepdim=True) * value
    return past + future.flip(-2) - present


def _key_sum(state: LinearAttentionState) -> Tensor:
    if state.key_sum is None:
        raise ValueError("this state was made without a denominator; start again with denominator=True")
    return state.key_sum


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    causal: bool,
    log_decay: Tensor | None,
    key_padding_mask: Tensor | None,
    form: str,
    chunk_size: int,
    state: LinearAttentionState | None,
) -> None:
    if form not in FORMS:
        close = get_close_matches(form, FORMS, n=1)
        raise ValueError(f"form={form!r}: expected one of {', '.join(FORMS)}" + (f"; {close[0]!r}?" if close else ""))
    if query.dim() != 4 or query.shape != key.shape or query.shape[:3] != value.shape[:3]:
        raise ValueError(
            "query, key (batch, heads, length, key_dim) and value (batch, heads, length, value_dim) do not fit: "
            f"{tuple(query.shape)}, {tuple(key.shape)}, {tuple(value.shape)}"
        )
    if query.shape[-2] == 0:
        raise ValueError("length 0: there is no token to attend from")
    if chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size}: expected at least 1")
    if log_decay is not None and log_decay.shape != query.shape[1:2]:
        raise ValueError(f"log_decay has shape {tuple(log_decay.shape)}, expected ({query.shape[1]},), one a head")
    if state is not None and not causal:
        raise ValueError("a state is of the past; causal=False has none")
    if key_padding_mask is not None and key_padding_mask.shape != (query.shape[0], query.shape[2]):
        raise ValueError(
            f"key_padding_mask has shape {tuple(key_padding_mask.shape)}, expected (batch, length) = "
            f"({query.shape[0]}, {query.shape[2]})"
        )

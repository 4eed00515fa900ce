"""Linear attention: one function, by whichever back end is right for its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from lrpe.ops.forms import FORMS
from lrpe.ops.problem import AttentionProblem
from lrpe.ops.registry import BACKENDS, Case, case_of, resolve
from lrpe.ops.state import LinearAttentionState
from lrpe.validation import check_choice

if TYPE_CHECKING:
    from lrpe.encodings.base import Encoding


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
    encoding: Encoding | None = None,
    positions: Tensor | None = None,
    offset: int = 0,
) -> Tensor | tuple[Tensor, LinearAttentionState]:
    """out_s = sum_(t<=s) g^(s-t) <q_s, k_t> v_t, over max(sum_(t<=s) g^(s-t) <q_s, k_t>, eps) where asked for.

    Without ``causal`` the sums run over all t, with g^|s-t|, or with ``one_sided_decay`` g^(s-t), which grows for later
    keys; the fraction is then computed with g^(n-1-t), the same after the common factor g^(s-n+1) is canceled. Sums
    and state are float32 for float16, bfloat16 and float32 inputs, float64 for float64 (Katharopoulos et al. 2020, eq.
    4 to 12).

    Args:
        query, key: feature maps, encoded unless ``encoding`` is given; ``(batch, heads, length, key_dim)``.
        value: ``(batch, heads, length, value_dim)``.
        causal: sum over the past only.
        log_decay: log g per head, ``(heads,)``, at most 0; None for g = 1. Not differentiated.
        one_sided_decay: see above; a causal sum cannot tell the two apart.
        denominator: divide by the sum without v, clamped from below at ``eps``.
        clamped: Int64[2], to which the numbers of clamped denominators and of all are added.
        key_padding_mask: bool ``(batch, length)``, True where a key is padding and contributes nothing.
        denominator_query, denominator_key: take the denominator from these instead (the published image rows use the
            features before encoding); ``(batch, heads, length, any_dim)``.
        form: ``definition`` (quadratic), ``chunked``, ``recurrent`` or ``auto``.
        chunk_size: tokens per chunk.
        state: of the tokens before these (causal only).
        return_state: also return the state after these.
        encoding: encode query and key first, in the same kernel where the back end has one. Its decay is not applied:
            that is ``log_decay``.
        positions, offset: see :meth:`lrpe.encodings.Encoding.forward`; of ``encoding``.

    Returns:
        ``(batch, heads, length, value_dim)`` in ``value``'s dtype, and the state if asked for.

    Raises:
        ValueError: shapes that do not fit, an unknown form, a state without ``causal``, a one-sided decay without
            ``causal`` and ``denominator``.
        RuntimeError: the back end that is asked for cannot be had here.
    """
    _check(query, key, value, causal, log_decay, key_padding_mask, form, chunk_size, state)
    own = denominator_query is not None
    layout = None
    if encoding is not None and form == "auto" and positions is None and encoding.ndim == 1:
        layout = encoding.kernel_layout
    case = _case(query, key, value, causal, own, layout)
    chosen, fused = resolve(case), None
    if encoding is not None:
        if chosen.fuses(case):
            fused = encoding
        else:
            query, key = encoding(query, key, positions=positions, offset=offset)
            chosen = resolve(_case(query, key, value, causal, own, None))
    if form != "auto" and chosen.name != "definition":
        chosen = BACKENDS["torch"]
    problem = AttentionProblem(
        causal=causal, log_decay=log_decay, one_sided_decay=one_sided_decay, denominator=denominator, eps=eps,
        clamped=clamped, key_padding_mask=key_padding_mask, denominator_query=denominator_query,
        denominator_key=denominator_key, form=form, chunk_size=chunk_size, state=state, return_state=return_state,
        encoding=fused, offset=offset,
    )  # fmt: skip
    out, after = chosen.attend(query, key, value, problem)
    if not return_state:
        return out
    assert after is not None
    return out, after


def _case(query: Tensor, key: Tensor, value: Tensor, causal: bool, own_denominator: bool, layout: str | None) -> Case:
    return case_of(
        "attend", query, key, value, key_dim=query.shape[-1], value_dim=value.shape[-1], layout=layout, causal=causal,
        own_denominator=own_denominator, one_token=query.shape[-2] == 1,
    )  # fmt: skip


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
    check_choice("form", form, FORMS)
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
        raise ValueError(f"log_decay has shape {tuple(log_decay.shape)}, expected ({query.shape[1]},), one per head")
    if state is not None and not causal:
        raise ValueError("a state is of the past; causal=False has none")
    if key_padding_mask is not None and key_padding_mask.shape != (query.shape[0], query.shape[2]):
        raise ValueError(
            f"key_padding_mask has shape {tuple(key_padding_mask.shape)}, expected (batch, length) = "
            f"({query.shape[0]}, {query.shape[2]})"
        )

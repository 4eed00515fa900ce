"""Causal linear attention as an operator of PyTorch, with the encoding of query and key fused into it.

Launches: one forward and one backward where batch x heads fill the card, else two and three (``segmentation`` in
:mod:`lrpe.ops.triton.problem`). In the backward, one sum more for learned angles, one for a learned vector, and four
small ones where values are wider than a block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrpe.ops.denominators import count_clamped
from lrpe.ops.phases import Phases, encoded_dim
from lrpe.ops.state import LinearAttentionState
from lrpe.ops.triton.attention_forward import attend_forward
from lrpe.ops.triton.attention_gradients import attend_gradients
from lrpe.ops.triton.launch import Kernel, contiguous, joinable, rows_of, strided
from lrpe.ops.triton.problem import TUNED, Problem, fits

FORWARD = Kernel(attend_forward, **TUNED, fits=fits(16))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    phases: Phases | None = None,
    offset: int = 0,
    log_decay: Tensor | None = None,
    denominator: bool = False,
    eps: float = 1e-6,
    clamped: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    state: LinearAttentionState | None = None,
    return_state: bool = False,
    segment: int = 0,
) -> tuple[Tensor, LinearAttentionState | None]:
    """:func:`lrpe.ops.linear_attention`, causal, of query and key as ``phases`` encodes them from ``offset`` on.

    Args:
        query, key, value: of one dtype (float32, bfloat16, float16), strided as they are as long as features are
            contiguous: ``(batch, heads, length, dim)`` views of ``(batch, length, heads, dim)`` are not copied.
        phases: None: query and key are encoded already.
        segment: tokens that one program walks through, a multiple of 128; 0: by the device and the shape.
        others: as in :func:`lrpe.ops.linear_attention`.
    """
    theta = query.new_empty(0, dtype=torch.float32) if phases is None else phases.theta
    vector = None if phases is None else phases.vector
    layout = "halves" if phases is None else phases.layout
    rotated = phases is not None
    out, total, end, end_sum = _attend(
        query, key, value, theta, vector, log_decay, key_padding_mask,
        None if state is None else state.key_value, None if state is None or not denominator else state.key_sum,
        layout, rotated, offset, denominator, eps, return_state, segment,
    )  # fmt: skip
    if denominator and clamped is not None:
        count_clamped(clamped, total, eps)
    if not return_state:
        return out, None
    position = (state.position if state else 0) + query.shape[2]
    return out, LinearAttentionState(end, end_sum if denominator else None, position)


def _outputs(query: Tensor, value: Tensor, layout: str, denominator: bool, keep_end: bool) -> tuple[Tensor, ...]:
    batch, heads, length, width = query.shape
    encoded = encoded_dim(width, layout)

    def floats(*shape: int) -> Tensor:
        return value.new_empty(shape, dtype=torch.float32)

    return (
        joinable(value, value.shape[-1]),
        floats(batch, heads, length) if denominator else floats(0),
        floats(batch, heads, encoded, value.shape[-1]) if keep_end else floats(0),
        floats(batch, heads, encoded) if keep_end and denominator else floats(0),
    )


@torch.library.custom_op("lrpe::triton_attend", mutates_args=())
def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    theta: Tensor,
    vector: Tensor | None,
    log_decay: Tensor | None,
    padding: Tensor | None,
    start: Tensor | None,
    start_sum: Tensor | None,
    layout: str,
    rotated: bool,
    offset: int,
    denominator: bool,
    eps: float,
    keep_end: bool,
    segment: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    query, key, value, theta = rows_of(query), rows_of(key), rows_of(value), theta.contiguous()
    vector, log_decay, padding, start, start_sum = contiguous(vector, log_decay, padding, start, start_sum)
    out, total, end, end_sum = _outputs(query, value, layout, denominator, keep_end)
    problem = Problem(
        query, value, theta, vector, log_decay, padding, layout, rotated, offset, denominator, eps, segment
    )
    summaries, sums = problem.summarize(key, value, out, total, backward=False)
    FORWARD(
        lambda meta: (problem.pairs, problem.segments, problem.slabs),
        **strided(query=query, key=key, value=value, out=out),
        total=total,
        start=total if start is None else start,
        start_sum=total if start_sum is None else start_sum,
        end=end,
        end_sum=end_sum,
        summaries=summaries,
        summary_sums=sums,
        STARTED=start is not None,
        KEEP_END=keep_end,
        **problem.arguments,
    )
    return out, total, end, end_sum


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *_, layout, _, _, denominator, _, keep_end, _ = others
    return _outputs(query, value, layout, denominator, keep_end)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.layout, ctx.rotated, ctx.offset, ctx.denominator, ctx.eps, ctx.keep_end, ctx.segment = inputs
    ctx.save_for_backward(*output[:2], *tensors)
    ctx.mark_non_differentiable(output[1])


def _differentiate(
    ctx: Any, grad_out: Tensor, _: Tensor, end_grad: Tensor, end_sum_grad: Tensor
) -> tuple[Tensor | None, ...]:
    out, total, query, key, value, theta, vector, log_decay, padding, start, start_sum = ctx.saved_tensors
    needs = ctx.needs_input_grad
    learned_angles, learned_vector = ctx.rotated and needs[3], vector is not None and needs[4]
    query, key, value, theta, vector, start_grad, start_sum_grad = attend_gradients(
        grad_out, end_grad if ctx.keep_end else None, end_sum_grad if ctx.keep_end and ctx.denominator else None,
        query, key, value, out, total, theta, vector, log_decay, padding, start, start_sum,
        ctx.layout, ctx.rotated, ctx.offset, ctx.denominator, ctx.eps, ctx.segment, learned_angles, learned_vector,
    )  # fmt: skip
    return (
        query,
        key,
        value,
        theta if learned_angles else None,
        vector if learned_vector else None,
        None,
        None,
        None if start is None else start_grad,
        None if start_sum is None else start_sum_grad,
        *[None] * 7,
    )


_attend.register_autograd(_differentiate, setup_context=_setup_context)

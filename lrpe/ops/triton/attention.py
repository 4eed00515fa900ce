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
from lrpe.ops.phases import Phases, encoded_dim, per_head
from lrpe.ops.state import LinearAttentionState
from lrpe.ops.triton.attention_backward import attend_backward
from lrpe.ops.triton.attention_forward import attend_forward
from lrpe.ops.triton.launch import Kernel, joinable, rows_of
from lrpe.ops.triton.problem import TUNED, Problem, fits

FORWARD = Kernel(attend_forward, **TUNED, fits=fits(16))
BACKWARD = Kernel(attend_backward, **TUNED, fits=fits(8))


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
    vector, log_decay, padding, start, start_sum = _contiguous(vector, log_decay, padding, start, start_sum)
    out, total, end, end_sum = _outputs(query, value, layout, denominator, keep_end)
    problem = Problem(
        query, value, theta, vector, log_decay, padding, layout, rotated, offset, denominator, eps, segment
    )
    summaries, sums = problem.summarise(key, value, out, total, backward=False)
    FORWARD(
        lambda meta: (problem.pairs, problem.segments, problem.slabs),
        query=query,
        key=key,
        value=value,
        out=out,
        total=total,
        start=total if start is None else start,
        start_sum=total if start_sum is None else start_sum,
        end=end,
        end_sum=end_sum,
        summaries=summaries,
        summary_sums=sums,
        query_strides=query.stride()[:3],
        key_strides=key.stride()[:3],
        value_strides=value.stride()[:3],
        out_strides=out.stride()[:3],
        STARTED=start is not None,
        KEEP_END=keep_end,
        **problem.arguments,
    )
    return out, total, end, end_sum


def _contiguous(*tensors: Tensor | None) -> list[Tensor | None]:
    return [None if x is None else x.contiguous() for x in tensors]


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *_, layout, _, _, denominator, _, keep_end, _ = others
    return _outputs(query, value, layout, denominator, keep_end)


@torch.library.custom_op("lrpe::triton_attend_backward", mutates_args=())
def _attend_backward(
    grad_out: Tensor,
    end_grad: Tensor | None,
    end_sum_grad: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    total: Tensor,
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
    segment: int,
    learned_angles: bool,
    learned_vector: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    query, key, value, theta, grad_out = (*map(rows_of, (query, key, value)), theta.contiguous(), rows_of(grad_out))
    vector, log_decay, padding, start, start_sum, end_grad, end_sum_grad = _contiguous(
        vector, log_decay, padding, start, start_sum, end_grad, end_sum_grad
    )
    problem = Problem(
        query, value, theta, vector, log_decay, padding, layout, rotated, offset, denominator, eps, segment
    )
    batch, heads, _, width = query.shape
    pairs, slabs = problem.pairs, problem.slabs
    programs = 2 * problem.segments * slabs
    query_grad, key_grad = _input_gradients(query, slabs)
    value_grad = joinable(value, value.shape[-1])
    start_grad, start_sum_grad = (total.new_empty(0) if x is None else torch.empty_like(x) for x in (start, start_sum))
    theta_parts = total.new_empty((pairs, programs, theta.shape[-1]) if learned_angles else (0,))
    vector_parts = total.new_empty((pairs, programs, width) if learned_vector else (0,))
    summaries, sums = problem.summarise(key, value, out, total, backward=False)
    behind, behind_sums = problem.summarise(query, grad_out, out, total, backward=True)
    BACKWARD(
        lambda meta: (pairs, 2 * problem.segments, slabs),
        query=query,
        key=key,
        value=value,
        out=out,
        total=total,
        grad_out=grad_out,
        query_grad=query_grad,
        key_grad=key_grad,
        value_grad=value_grad,
        theta_parts=theta_parts,
        vector_parts=vector_parts,
        start=total if start is None else start,
        start_sum=total if start_sum is None else start_sum,
        start_grad=start_grad,
        start_sum_grad=start_sum_grad,
        end_grad=total if end_grad is None else end_grad,
        end_sum_grad=total if end_sum_grad is None else end_sum_grad,
        summaries=summaries,
        summary_sums=sums,
        behind=behind,
        behind_sums=behind_sums,
        query_strides=query.stride()[:3],
        key_strides=key.stride()[:3],
        value_strides=value.stride()[:3],
        out_strides=out.stride()[:3],
        grad_out_strides=grad_out.stride()[:3],
        query_grad_strides=query_grad.stride()[-4:-1],
        key_grad_strides=key_grad.stride()[-4:-1],
        value_grad_strides=value_grad.stride()[:3],
        part_stride=query_grad.stride(0) if slabs > 1 else 0,
        STARTED=start is not None,
        ENDED=end_grad is not None,
        LEARNED_ANGLES=learned_angles,
        LEARNED_VECTOR=learned_vector,
        **problem.arguments,
    )
    if slabs > 1:
        query_grad, key_grad = query_grad.sum(0).to(query.dtype), key_grad.sum(0).to(key.dtype)
    theta_grad, vector_grad = theta.new_empty(0), theta.new_empty(0)
    if learned_angles:
        theta_grad = per_head(theta_parts, batch, heads, theta.shape[1]).to(theta.dtype)[None].contiguous()
    if learned_vector and vector is not None:
        vector_grad = per_head(vector_parts, batch, heads, vector.shape[0]).to(vector.dtype)
    return query_grad, key_grad, value_grad, theta_grad, vector_grad, start_grad, start_sum_grad


def _input_gradients(query: Tensor, slabs: int) -> tuple[Tensor, Tensor]:
    batch, heads, length, width = query.shape
    if slabs == 1:
        return joinable(query, width), joinable(query, width)
    shape = (2, slabs, batch, length, heads, width)
    query_grad, key_grad = query.new_empty(shape, dtype=torch.float32).transpose(3, 4)
    return query_grad, key_grad


@_attend_backward.register_fake
def _(
    grad_out: Tensor,
    end_grad: Tensor | None,
    end_sum_grad: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    out: Tensor,
    total: Tensor,
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
    segment: int,
    learned_angles: bool,
    learned_vector: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    def like(x: Tensor | None, wanted: bool = True) -> Tensor:
        return total.new_empty(0) if x is None or not wanted else x.new_empty(x.shape)

    inputs = (joinable(x, x.shape[-1]) for x in (query, key, value))
    return *inputs, like(theta, learned_angles), like(vector, learned_vector), like(start), like(start_sum)


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
    query, key, value, theta, vector, start_grad, start_sum_grad = _attend_backward(
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

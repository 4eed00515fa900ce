"""The gradients of :func:`lrpe.ops.triton.attention.attend` as an operator of PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lrpe.ops.phases import per_head
from lrpe.ops.triton.attention_backward import attend_backward
from lrpe.ops.triton.launch import Kernel, contiguous, joinable, rows_of, strided
from lrpe.ops.triton.problem import TUNED, Problem, fits

BACKWARD = Kernel(attend_backward, **TUNED, fits=fits(8))


@torch.library.custom_op("lrpe::triton_attend_backward", mutates_args=())
def attend_gradients(
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
    vector, log_decay, padding, start, start_sum, end_grad, end_sum_grad = contiguous(
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
    summaries, sums = problem.summarize(key, value, out, total, backward=False)
    behind, behind_sums = problem.summarize(query, grad_out, out, total, backward=True)
    BACKWARD(
        lambda meta: (pairs, 2 * problem.segments, slabs),
        **strided(
            query=query,
            key=key,
            value=value,
            out=out,
            grad_out=grad_out,
            query_grad=query_grad,
            key_grad=key_grad,
            value_grad=value_grad,
        ),
        total=total,
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


@attend_gradients.register_fake
def _(
    grad_out: Tensor, end_grad: Tensor | None, end_sum_grad: Tensor | None, query: Tensor, key: Tensor, value: Tensor,
    out: Tensor, total: Tensor, theta: Tensor, vector: Tensor | None, log_decay: Tensor | None, padding: Tensor | None,
    start: Tensor | None, start_sum: Tensor | None, *others: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    *_, learned_angles, learned_vector = others

    def like(x: Tensor | None, wanted: bool = True) -> Tensor:
        return total.new_empty(0) if x is None or not wanted else x.new_empty(x.shape)

    inputs = (joinable(x, x.shape[-1]) for x in (query, key, value))
    return *inputs, like(theta, learned_angles), like(vector, learned_vector), like(start), like(start_sum)

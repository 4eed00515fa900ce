"""Encoding as an operator of PyTorch: a launch forward, one backward, and a sum each for learned angles and vector."""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor

from lrpe.ops.phases import Phases, complex_dim, encoded_dim, per_head
from lrpe.ops.triton.encode_kernels import encode_backward, encode_forward
from lrpe.ops.triton.launch import FIXED_CHUNK, Kernel, block_of, joinable, rows_of, strided

MAX_TILE = 8192  # complex features a program holds of query or key
KEY = ("WIDTH", "LAYOUT", "REFLECTED", "COUNT", "AXES")


def _fits(chunk: int, warps: int, arguments: dict[str, Any]) -> bool:
    return chunk * arguments["BLOCK"] <= MAX_TILE


FORWARD = Kernel(encode_forward, chunks=(16, 32, 64, 128), warps=(4, 8), stages=1, key=KEY, fits=_fits)
# The partial sums of a program are counted before the grid is known: the backward's block has one size.
BACKWARD = Kernel(
    encode_backward, chunks=(FIXED_CHUNK,), warps=(4, 8), stages=1, key=(*KEY, "LEARNED_ANGLES", "LEARNED_VECTOR")
)


def encode(query: Tensor, key: Tensor, phases: Phases, positions: Tensor | None, offset: int) -> tuple[Tensor, Tensor]:
    """Lambda^(s) P x for query and key in one launch.

    Args:
        query, key: ``(batch, heads, length, head_dim)`` of one shape and dtype (float32, bfloat16, float16), strided
            as they are as long as features are contiguous; arithmetic is float32.
        phases: Lambda and P.
        positions: int64 ``(1 or batch, length, axes)``, or None for ``offset + arange(length)``.
        offset: see there.

    Returns:
        The same with ``encoded_dim(head_dim, phases.layout)`` features.
    """
    return _encode(query, key, phases.theta, phases.vector, positions, phases.layout, offset)


def _settings(query: Tensor, phases: Phases, positions: Tensor | None, offset: int) -> dict[str, Any]:
    _, heads, length, width = query.shape
    theta, vector = phases.theta, phases.vector
    return {
        "theta": theta,
        "vector": query if vector is None else vector,
        "positions": query if positions is None else positions,
        "theta_strides": (theta.stride(0), theta.stride(1) if theta.shape[1] > 1 else 0),
        "vector_stride": width if vector is not None and vector.shape[0] > 1 else 0,
        "position_stride": length * theta.shape[0] if positions is not None and positions.shape[0] > 1 else 0,
        "offset": offset,
        "length": length,
        "heads": heads,
        "BLOCK": block_of(complex_dim(width, phases.layout)),
        "WIDTH": width,
        "ENCODED": encoded_dim(width, phases.layout),
        "COUNT": theta.shape[-1],
        "AXES": theta.shape[0],
        "LAYOUT": phases.layout,
        "OUT_LAYOUT": phases.out_layout,
        "REFLECTED": vector is not None,
        "GIVEN": positions is not None,
    }


def _grid(query: Tensor) -> Any:
    batch, heads, length, _ = query.shape
    return lambda meta: (batch * heads, triton.cdiv(length, meta["CHUNK"]))


def _empty_outputs(query: Tensor, key: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    width = encoded_dim(query.shape[-1], layout)
    return joinable(query, width), joinable(key, width)


@torch.library.custom_op("lrpe::triton_encode", mutates_args=())
def _encode(
    query: Tensor,
    key: Tensor,
    theta: Tensor,
    vector: Tensor | None,
    positions: Tensor | None,
    layout: str,
    offset: int,
) -> tuple[Tensor, Tensor]:
    query, key, theta = rows_of(query), rows_of(key), theta.contiguous()
    vector = None if vector is None else vector.contiguous()
    positions = None if positions is None else positions.contiguous()
    query_out, key_out = _empty_outputs(query, key, layout)
    FORWARD(
        _grid(query),
        **strided(query=query, key=key, query_out=query_out, key_out=key_out),
        **_settings(query, Phases(theta, vector, layout), positions, offset),
    )
    return query_out, key_out


@_encode.register_fake
def _(
    query: Tensor, key: Tensor, theta: Tensor, vector: Tensor | None, positions: Tensor | None, layout: str, offset: int
) -> tuple[Tensor, Tensor]:
    return _empty_outputs(query, key, layout)


@torch.library.custom_op("lrpe::triton_encode_backward", mutates_args=())
def _encode_backward(
    query_out: Tensor,
    key_out: Tensor,
    query_grad_out: Tensor,
    key_grad_out: Tensor,
    theta: Tensor,
    vector: Tensor | None,
    positions: Tensor | None,
    layout: str,
    offset: int,
    learned_angles: bool,
    learned_vector: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    query_grad_out, key_grad_out, theta = rows_of(query_grad_out), rows_of(key_grad_out), theta.contiguous()
    vector = None if vector is None else vector.contiguous()
    positions = None if positions is None else positions.contiguous()
    batch, heads, length, encoded = query_out.shape
    width = encoded // 2 if layout == "real" else encoded
    query_grad, key_grad = joinable(query_out, width), joinable(key_out, width)
    programs = triton.cdiv(length, FIXED_CHUNK)
    axes, sets, count = theta.shape
    theta_parts = theta.new_empty(
        (batch * heads, programs, axes, count) if learned_angles else (0,), dtype=torch.float32
    )
    vector_parts = theta.new_empty((batch * heads, programs, width) if learned_vector else (0,), dtype=torch.float32)
    BACKWARD(
        _grid(query_out),
        **strided(
            query_out=query_out,
            key_out=key_out,
            query_grad_out=query_grad_out,
            key_grad_out=key_grad_out,
            query_grad=query_grad,
            key_grad=key_grad,
        ),
        theta_parts=theta_parts,
        vector_parts=vector_parts,
        LEARNED_ANGLES=learned_angles,
        LEARNED_VECTOR=learned_vector,
        **_settings(query_grad, Phases(theta, vector, layout), positions, offset),
    )
    theta_grad, vector_grad = theta.new_empty(0), theta.new_empty(0)
    if learned_angles:
        theta_grad = per_head(theta_parts, batch, heads, sets).transpose(0, 1).to(theta.dtype).contiguous()
    if learned_vector and vector is not None:
        vector_grad = per_head(vector_parts, batch, heads, vector.shape[0]).to(vector.dtype)
    return query_grad, key_grad, theta_grad, vector_grad


@_encode_backward.register_fake
def _(
    query_out: Tensor, key_out: Tensor, query_grad_out: Tensor, key_grad_out: Tensor, theta: Tensor,
    vector: Tensor | None, positions: Tensor | None, layout: str, *others: Any,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    _, learned_angles, learned_vector = others
    width = query_out.shape[-1] // 2 if layout == "real" else query_out.shape[-1]
    theta_grad = theta.new_empty(theta.shape if learned_angles else (0,))
    vector_grad = vector.new_empty(vector.shape) if learned_vector and vector is not None else theta.new_empty(0)
    return joinable(query_out, width), joinable(key_out, width), theta_grad, vector_grad


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, theta, vector, positions, *ctx.options = inputs
    ctx.save_for_backward(*output, theta, vector, positions)


def _differentiate(ctx: Any, query_grad_out: Tensor, key_grad_out: Tensor) -> tuple[Tensor | None, ...]:
    query_out, key_out, theta, vector, positions = ctx.saved_tensors
    learned_angles, learned_vector = ctx.needs_input_grad[2], vector is not None and ctx.needs_input_grad[3]
    query, key, angles, householder = _encode_backward(
        query_out, key_out, query_grad_out, key_grad_out, theta, vector, positions, *ctx.options,
        learned_angles, learned_vector,
    )  # fmt: skip
    return (
        query,
        key,
        angles if learned_angles else None,
        householder if learned_vector else None,
        *[None] * 3,
    )


_encode.register_autograd(_differentiate, setup_context=_setup_context)

"""Causal linear attention by flash-linear-attention (``pip install lrpe[gpu]``).

out_s = sum_(t<=s) g^(s-t) <q_s, k_t> v_t is its ``chunk_simple_gla`` with ``g_gamma`` = log g, and without decay its
``chunk_linear_attn``; ``scale=1.0``, because both divide by the root of the features else. The denominator (one more
column of values), padding and states are ours, as in every other back end, so that an ``eps``, a count of clamped
denominators and a generated token mean the same.

Left to ``torch``: float64; float32, unless ``torch.set_float32_matmul_precision`` allows TF32, in which the kernels
multiply; odd features, which the kernels refuse in half precision; a single token; sums over both directions; and
graphs of torch.compile, which the kernels would break.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import torch
from torch import Tensor

from lrpe.ops.fraction import attend as attend_by
from lrpe.ops.problem import AttentionProblem
from lrpe.ops.registry import Case
from lrpe.ops.state import LinearAttentionState

EXTRA_COLUMNS = 2  # of values for the denominator: one of ones, and one that keeps their number even


def missing() -> str | None:
    """That the package is not installed, and what helps."""
    if find_spec("fla") is None:
        return "flash-linear-attention is not installed (pip install flash-linear-attention)"
    return None


def takes(case: Case) -> bool:
    """Whether the kernels compute a case of attention."""
    if case.device != "cuda" or case.compiling or not case.causal or case.own_denominator or case.one_token:
        return False
    if case.dtype == torch.float32:
        return torch.get_float32_matmul_precision() != "highest"
    half = case.dtype in (torch.bfloat16, torch.float16)
    return half and case.key_dim % 2 == 0 and case.value_dim % 2 == 0


def attend(
    query: Tensor, key: Tensor, value: Tensor, problem: AttentionProblem
) -> tuple[Tensor, LinearAttentionState | None]:
    """:func:`lrpe.ops.linear_attention` of a case that :func:`takes` accepts; products in the inputs' dtype, sums and
    states in float32."""
    summed = partial(weighted_sum, keep_end=problem.return_state)
    return attend_by(query, key, value, problem, summed, work=value.dtype, ones=EXTRA_COLUMNS)


def weighted_sum(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor | None, *, keep_end: bool
) -> tuple[Tensor, Tensor | None]:
    """See :class:`lrpe.ops.fraction.WeightedSum`; ``keep_end`` asks for the state after the last token."""
    from fla.ops.linear_attn import chunk_linear_attn  # pyright: ignore[reportMissingImports]
    from fla.ops.simple_gla import chunk_simple_gla  # pyright: ignore[reportMissingImports]

    # (batch, length, heads, features) there
    query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
    if log_decay is None:
        out, end = chunk_linear_attn(
            query, key, value, scale=1.0, initial_state=state, output_final_state=keep_end, normalize=False
        )
    else:
        out, end = chunk_simple_gla(
            query, key, value, g_gamma=log_decay, scale=1.0, initial_state=state, output_final_state=keep_end
        )
    return out.transpose(1, 2), end

"""flash-linear-attention's two functions as of 0.6.0, computed by this library's definition in float32.

The package itself imports only beside a GPU. Signatures and refusals are its own: ``test_fla.py`` compares them with
the installed package, where there is one.
"""

from __future__ import annotations

from typing import Any

import torch

from lrpe.ops.forms import weighted_sum_of


def chunk_simple_gla(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    g: torch.Tensor | None = None,
    g_gamma: torch.Tensor | None = None,
    scale: float | None = None,
    initial_state: torch.Tensor | None = None,
    output_final_state: bool = False,
    state_v_first: bool = False,
    cu_seqlens: torch.LongTensor | None = None,
    cu_seqlens_cpu: torch.LongTensor | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    assert not kwargs, "head_first and the like are gone"
    assert g is None
    assert cu_seqlens is None
    assert not state_v_first
    assert q.dtype == k.dtype == v.dtype
    assert initial_state is None or initial_state.dtype == torch.float32
    if q.dtype in (torch.float16, torch.bfloat16):
        assert k.shape[-1] % 2 == 0, "its backward refuses odd features"
        assert v.shape[-1] % 2 == 0, "its backward refuses odd features"
    scale = k.shape[-1] ** -0.5 if scale is None else scale
    query, key, value = (x.transpose(1, 2).float() for x in (q, k, v))
    past = weighted_sum_of("recurrent", causal=True, chunk_size=1)
    out, end = past(query * scale, key, value, g_gamma, initial_state)
    return out.transpose(1, 2).to(q.dtype), end if output_final_state else None


def chunk_linear_attn(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    scale: float | None = None,
    initial_state: torch.Tensor | tuple | None = None,
    output_final_state: bool = False,
    normalize: bool = True,
    cu_seqlens: torch.LongTensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    assert not normalize, "its denominator is not clamped"
    return chunk_simple_gla(
        q=q, k=k, v=v, scale=scale, initial_state=initial_state, output_final_state=output_final_state,
        cu_seqlens=cu_seqlens,
    )  # fmt: skip

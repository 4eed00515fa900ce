"""Attention of other libraries on the same tensors, (batch, heads, length, dim): what is installed of it."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


def flash_softmax(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """PyTorch's flash attention; an error instead of a slower kernel where it does not apply."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def linear_attentions(log_decay: Tensor) -> dict[str, Attention]:
    """flash-linear-attention's operators without a normalizer, with decay where the name says so; {} without fla.

    They take (batch, length, heads, dim), which a transposed view of a layer's tensors is, and return the state as
    well. ``scale=1`` because they divide by the root of dim else.
    """
    try:
        from fla.ops.linear_attn import chunk_linear_attn
        from fla.ops.simple_gla import chunk_simple_gla
    except ImportError:
        return {}

    def plain(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return chunk_linear_attn(query, key, value, scale=1.0, normalize=False)[0].transpose(1, 2)

    def decayed(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (x.transpose(1, 2) for x in (query, key, value))
        return chunk_simple_gla(query, key, value, g_gamma=log_decay, scale=1.0)[0].transpose(1, 2)

    return {"fla chunk_linear_attn": plain, "fla chunk_simple_gla, decay": decayed}

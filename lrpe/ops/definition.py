"""Linear attention as it is written down: quadratic in the length, the reference for every other form."""

from __future__ import annotations

import torch
from torch import Tensor


def decay_matrix(log_decay: Tensor, length: int, causal: bool) -> Tensor:
    """g_h^(s-t) for t <= s and 0 above the diagonal (causal), or g_h^|s-t|: ``(heads, length, length)``.

    Computed from differences of positions: never g^s times g^(-t), which overflows.
    """
    position = torch.arange(length, device=log_decay.device)
    distance = position[:, None] - position
    weights = torch.exp(log_decay[:, None, None] * distance.abs())
    return weights.tril() if causal else weights


def weighted_sum(query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, causal: bool) -> Tensor:
    """out_s = sum_t g^(s-t) <q_s, k_t> v_t over t <= s (causal) or, with g^|s-t|, over all t.

    Args:
        query, key: ``(batch, heads, length, key_dim)``.
        value: ``(batch, heads, length, value_dim)``.
        log_decay: ``(heads,)``, or None for g = 1.

    Returns:
        ``(batch, heads, length, value_dim)`` in the inputs' dtype.
    """
    scores = query @ key.mT
    if log_decay is not None:
        scores = scores * decay_matrix(log_decay, query.shape[-2], causal)
    elif causal:
        scores = scores.tril()
    return scores @ value

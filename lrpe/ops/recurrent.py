"""Linear attention one token at a time: O(1) state, what generation runs."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_sum(
    query: Tensor, key: Tensor, value: Tensor, log_decay: Tensor | None, state: Tensor
) -> tuple[Tensor, Tensor]:
    """S_s = g S_(s-1) + k_s v_s^T and out_s = q_s^T S_s, for each of the given tokens in turn.

    Args:
        query, key: ``(batch, heads, length, key_dim)``.
        value: ``(batch, heads, length, value_dim)``.
        log_decay: ``(heads,)`` or None.
        state: ``(batch, heads, key_dim, value_dim)``, S before the first token.

    Returns:
        out ``(batch, heads, length, value_dim)`` and S after the last token.
    """
    decay = None if log_decay is None else torch.exp(log_decay)[:, None, None]
    outputs = []
    for step in range(query.shape[-2]):
        if decay is not None:
            state = state * decay
        state = state + key[..., step, :, None] * value[..., step, None, :]
        outputs.append((query[..., step, None, :] @ state).squeeze(-2))
    return torch.stack(outputs, dim=-2), state

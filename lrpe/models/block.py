"""The transformer block."""

from __future__ import annotations

from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from lrpe.attention.layer import AttentionLayer
from lrpe.models.drop_path import DropPath

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class TransformerBlock(nn.Module):
    """x + attention, then x + W_2 act(W_1 x), each with its layer norm before (pre-norm) or after (post-norm).

    Dropout acts on the two residual branches, activation dropout inside the feed-forward layer; attention weights have
    none, as published.

    Args:
        attention: a layer of :mod:`lrpe.attention`.
        ffn_dim: width of the feed-forward layer; weights and biases start as :class:`torch.nn.Linear`'s,
            U(-1/sqrt(inputs), 1/sqrt(inputs)), as fairseq's.
        dropout, activation_dropout: rates.
        normalize_before: pre-norm.
        activation: ``relu`` or ``gelu``.
        drop_path: rate of stochastic depth, for each of the two branches.
        norm_eps: of the two layer norms.
    """

    def __init__(
        self,
        attention: AttentionLayer,
        ffn_dim: int,
        *,
        dropout: float = 0.1,
        activation_dropout: float = 0.0,
        normalize_before: bool = True,
        activation: str = "relu",
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r}: expected one of {', '.join(ACTIVATIONS)}")
        width = attention.embed_dim
        self.attention = attention
        self.attention_norm = nn.LayerNorm(width, eps=norm_eps)
        self.ffn_in = nn.Linear(width, ffn_dim)
        self.ffn_out = nn.Linear(ffn_dim, width)
        self.ffn_norm = nn.LayerNorm(width, eps=norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.activation_dropout = nn.Dropout(activation_dropout)
        self.drop_path = DropPath(drop_path)
        self.normalize_before = normalize_before
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """``(batch, length, width)`` -> the same."""
        attended = self.attention(self._before(x), key_padding_mask=key_padding_mask, positions=positions)
        return self._feed_forward(self._after(x, attended))

    def extend(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """The same for the tokens that follow those in ``state``."""
        attended, state = cast(Any, self.attention).extend(self._before(x), state)
        return self._feed_forward(self._after(x, attended)), state

    def _before(self, x: Tensor) -> Tensor:
        return self.attention_norm(x) if self.normalize_before else x

    def _after(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.drop_path(self.dropout(attended))
        return x if self.normalize_before else self.attention_norm(x)

    def _feed_forward(self, x: Tensor) -> Tensor:
        hidden = self.activation(self.ffn_in(self.ffn_norm(x) if self.normalize_before else x))
        x = x + self.drop_path(self.dropout(self.ffn_out(self.activation_dropout(hidden))))
        return x if self.normalize_before else self.ffn_norm(x)

"""Softmax attention: the quadratic reference backbone, with the same interface and encodings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lrpe.attention.layer import AttentionLayer, check_padding, head_dim_of
from lrpe.encodings.base import Encoding


@dataclass(frozen=True)
class KeyValueCache:
    """Encoded keys and values of the tokens so far, ``(batch, heads, position, dim)`` each; grows with the length."""

    key: Tensor
    value: Tensor

    @property
    def position(self) -> int:
        return self.key.shape[-2]

    def reorder(self, batch_index: Tensor) -> KeyValueCache:
        """The caches of ``batch_index``."""
        return KeyValueCache(self.key.index_select(0, batch_index), self.value.index_select(0, batch_index))


class SoftmaxAttention(AttentionLayer):
    """y = W_o softmax_t(<M_s W_q x_s, M_t W_k x_t> / sqrt(head_dim) + (s - t) log g) W_v x_t (Vaswani et al. 2017).

    An encoding's decay multiplies the weights by g^(s-t), as in linear attention; |s - t| when not causal, unless the
    decay is one-sided.

    Args:
        embed_dim, num_heads, encoding, causal, bias, output_bias, prefix_tokens, mask_padding: as in
            :class:`lrpe.attention.LinearAttention`.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        encoding: Encoding | Mapping[str, Any] | None = None,
        causal: bool = True,
        bias: bool = True,
        output_bias: bool | None = None,
        prefix_tokens: int = 0,
        mask_padding: bool = True,
    ) -> None:
        head_dim = head_dim_of(embed_dim, num_heads)
        super().__init__(embed_dim, num_heads, encoding, causal, bias, head_dim, output_bias, prefix_tokens)
        self.mask_padding = mask_padding

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """``(batch, length, embed_dim)`` -> the same; ``key_padding_mask`` is True at padding, ``(batch, length)``."""
        mask = check_padding(key_padding_mask, x) if self.mask_padding else None
        query, key, value = self.project(x)
        query, key = self.encode(query, key, positions=positions)
        return self._attend(query, key, value, mask)

    def weights(self, x: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """The softmax's weights: Float[batch heads length length], for pictures; for layers that are not causal."""
        query, key, _ = self.project(x)
        query, key = self.encode(query, key, positions=positions)
        return torch.softmax(query @ key.mT * self.head_dim**-0.5, dim=-1)

    def extend(self, x: Tensor, state: KeyValueCache | None = None) -> tuple[Tensor, KeyValueCache]:
        """Outputs of the tokens ``x`` that follow those in ``state``, and the cache with them.

        Raises:
            ValueError: the layer is not causal.
        """
        if not self.causal:
            raise ValueError("only causal attention can be extended token by token")
        query, key, value = self.project(x)
        query, key = self.encoding(query, key, offset=state.position if state else 0)
        if state is not None:
            key = torch.cat([state.key, key], dim=-2)
            value = torch.cat([state.value, value], dim=-2)
        return self._attend(query, key, value, None), KeyValueCache(key, value)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scale = self.head_dim**-0.5
        if mask is None and self.encoding.log_decay is None and (query.shape[-2] == key.shape[-2] or not self.causal):
            out = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal, scale=scale)
        else:
            bias = self._bias(query, key, mask)
            out = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
        return self.output_projection(self.join(out))

    def _bias(self, query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
        """What is added to the scores: minus infinity where nothing may be seen, and the decay."""
        keys = torch.arange(key.shape[-2], device=key.device)
        queries = keys[-query.shape[-2] :]
        distance = queries[:, None] - keys
        bias = query.new_zeros(1, 1, *distance.shape)
        if self.encoding.log_decay is not None:
            steps = distance if self.encoding.one_sided_decay else distance.abs()
            bias = (self.encoding.log_decay[:, None, None] * steps).unsqueeze(0).to(query.dtype)
        if self.causal:
            bias = bias.masked_fill(distance < 0, float("-inf"))
        if mask is not None:
            bias = bias.masked_fill(mask[:, None, None, :], float("-inf"))
        return bias

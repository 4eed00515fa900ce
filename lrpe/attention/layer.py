"""The query, key, value and output projections that both attention layers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lrpe.encodings import build_encoding
from lrpe.encodings.base import Encoding
from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.encodings.parts.prefix_tokens import encode_with_free_tokens
from lrpe.weight_decay import DecaySparing


class AttentionLayer(DecaySparing):
    """Projections to heads and back, and the encoding.

    Initialized as the published layer (fairseq's attention): Xavier-uniform weights, gain 1/sqrt(2) for q, k, v and 1
    for the output; biases of q, k, v as :class:`torch.nn.Linear`'s, U(-1/sqrt(embed_dim), 1/sqrt(embed_dim)), that of
    the output 0.

    Raises:
        ValueError: embed_dim is no multiple of num_heads, or an encoding made for other dimensions.
    """

    @drawn_in_float32
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        encoding: Encoding | Mapping[str, Any] | None,
        causal: bool,
        bias: bool,
        encoded_dim: int,
        output_bias: bool | None = None,
        prefix_tokens: int = 0,
    ) -> None:
        super().__init__()
        if prefix_tokens and causal:
            raise ValueError(f"prefix_tokens={prefix_tokens}: tokens without a position need causal=False")
        self.embed_dim, self.num_heads, self.causal, self.prefix_tokens = embed_dim, num_heads, causal, prefix_tokens
        self.head_dim = embed_dim // num_heads
        self.encoding = _as_encoding(encoding, encoded_dim, num_heads)
        self.query_projection = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.key_projection = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.value_projection = nn.Linear(embed_dim, embed_dim, bias=bias)
        self.output_projection = nn.Linear(embed_dim, embed_dim, bias=bias if output_bias is None else output_bias)
        for projection in (self.query_projection, self.key_projection, self.value_projection):
            nn.init.xavier_uniform_(projection.weight, gain=2**-0.5)
        nn.init.xavier_uniform_(self.output_projection.weight)
        if self.output_projection.bias is not None:
            nn.init.zeros_(self.output_projection.bias)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each ``(batch, heads, length, head_dim)`` and contiguous."""
        if x.dim() != 3 or x.shape[-1] != self.embed_dim:
            raise ValueError(f"expected (batch, length, embed_dim={self.embed_dim}), got {tuple(x.shape)}")
        batch, length, _ = x.shape

        def heads(projection: nn.Linear) -> Tensor:
            return projection(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2).contiguous()

        return heads(self.query_projection), heads(self.key_projection), heads(self.value_projection)

    def encode(self, query: Tensor, key: Tensor, *, positions: Tensor | None, offset: int = 0) -> tuple[Tensor, Tensor]:
        """Query and key with their positions, except the first ``prefix_tokens``, which have none."""
        if self.prefix_tokens:
            return encode_with_free_tokens(self.encoding, query, key, positions=positions, count=self.prefix_tokens)
        return self.encoding(query, key, positions=positions, offset=offset)

    def join(self, x: Tensor) -> Tensor:
        """``(batch, heads, length, head_dim)`` -> ``(batch, length, embed_dim)``."""
        return x.transpose(1, 2).flatten(2)


def head_dim_of(embed_dim: int, num_heads: int) -> int:
    """embed_dim / num_heads.

    Raises:
        ValueError: it is not a positive integer.
    """
    if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
        raise ValueError(f"embed_dim={embed_dim} is not a positive multiple of num_heads={num_heads}")
    return embed_dim // num_heads


def _as_encoding(encoding: Encoding | Mapping[str, Any] | None, head_dim: int, num_heads: int) -> Encoding:
    if encoding is None:
        return build_encoding("none", head_dim=head_dim, num_heads=num_heads)
    if isinstance(encoding, Mapping):
        options = {key: value for key, value in encoding.items() if key != "name"}
        return build_encoding(encoding["name"], head_dim=head_dim, num_heads=num_heads, **options)
    if encoding.head_dim != head_dim or encoding.num_heads != num_heads:
        raise ValueError(
            f"the encoding is for head_dim={encoding.head_dim}, num_heads={encoding.num_heads}; "
            f"this layer encodes head_dim={head_dim}, num_heads={num_heads} (after its feature map)"
        )
    return encoding


def check_padding(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """The mask itself.

    Raises:
        ValueError: not bool, or not ``(batch, length)``.
    """
    if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:2]):
        raise ValueError(
            f"key_padding_mask: expected bool (batch, length) = {tuple(x.shape[:2])}, True at padding; "
            f"got {mask.dtype} {tuple(mask.shape)}"
        )
    return mask

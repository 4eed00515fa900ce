"""Linear attention as a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lrpe.attention.feature_maps import build_feature_map
from lrpe.attention.layer import AttentionLayer, check_padding, head_dim_of
from lrpe.attention.norms import LayerNorm, RMSNorm
from lrpe.encodings.base import Encoding
from lrpe.ops import LinearAttentionState, linear_attention

NORMALIZERS = ("denominator", "layernorm", "rmsnorm")
DENOMINATORS = ("encoded", "plain")


class LinearAttention(AttentionLayer):
    """y = W_o norm(sum_t g^(s-t) <M_s phi(W_q x_s), M_t phi(W_k x_t)> W_v x_t).

    The feature map comes first and the encoding after it; no 1/sqrt(d). With ``normalizer="denominator"`` the sum is
    divided by the same sum without values, clamped at ``eps``; ``layernorm`` and ``rmsnorm`` act on the concatenated
    heads and need no denominator, which rotated, possibly negative scores make unstable (Qin et al. 2023; the authors'
    published layer).

    Args:
        embed_dim, num_heads: width, and heads that it is divided into.
        encoding: an :class:`lrpe.encodings.Encoding`, a mapping ``{"name": ..., **options}``, or None.
        feature_map, feature_map_options: see :mod:`lrpe.attention.feature_maps`.
        normalizer: ``denominator``, ``layernorm`` or ``rmsnorm``.
        causal: attend to the past only.
        bias: of the four projections.
        output_bias: of the last of them alone; None: as the others.
        prefix_tokens: the first tokens that have no position, such as a class token (not causal only).
        eps: smallest denominator.
        denominator_from: ``encoded`` (published language models) or ``plain`` features (published image models).
        mask_padding: False ignores ``key_padding_mask``, as the published layer does.
        chunk_size: tokens a chunk in training.

    Attributes:
        clamped: Int64[2], the denominators that were clamped in training and all of them, added up until somebody sets
            them to zero; None under another normalizer. No part of the state that is saved.
    """

    clamped: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        *,
        encoding: Encoding | Mapping[str, Any] | None = None,
        feature_map: str = "1+elu",
        feature_map_options: Mapping[str, Any] | None = None,
        normalizer: str = "denominator",
        causal: bool = True,
        bias: bool = True,
        output_bias: bool | None = None,
        prefix_tokens: int = 0,
        eps: float = 1e-6,
        denominator_from: str = "encoded",
        mask_padding: bool = True,
        chunk_size: int = 64,
    ) -> None:
        if normalizer not in NORMALIZERS:
            raise ValueError(f"normalizer={normalizer!r}: expected one of {', '.join(NORMALIZERS)}")
        if denominator_from not in DENOMINATORS:
            raise ValueError(f"denominator_from={denominator_from!r}: expected one of {', '.join(DENOMINATORS)}")
        features = build_feature_map(feature_map, head_dim_of(embed_dim, num_heads), **(feature_map_options or {}))
        super().__init__(embed_dim, num_heads, encoding, causal, bias, features.output_dim, output_bias, prefix_tokens)
        self.feature_map = features
        self.normalizer, self.denominator_from, self.mask_padding = normalizer, denominator_from, mask_padding
        self.eps, self.chunk_size = eps, chunk_size
        if self.encoding.one_sided_decay and not causal and normalizer != "denominator":
            raise ValueError("a one-sided decay of a bidirectional layer is defined by its denominator alone")
        divides = normalizer == "denominator"
        self.register_buffer("clamped", torch.zeros(2, dtype=torch.int64) if divides else None, persistent=False)
        self.norm: nn.Module = nn.Identity()
        if not divides:
            self.norm = (LayerNorm if normalizer == "layernorm" else RMSNorm)(embed_dim, eps=1e-5)

    def forward(self, x: Tensor, *, key_padding_mask: Tensor | None = None, positions: Tensor | None = None) -> Tensor:
        """``(batch, length, embed_dim)`` -> the same; ``key_padding_mask`` is True at padding, ``(batch, length)``."""
        mask = check_padding(key_padding_mask, x) if self.mask_padding else None
        out, _ = self._attend(x, None, mask=mask, positions=positions, keep_state=False)
        return out

    def extend(self, x: Tensor, state: LinearAttentionState | None = None) -> tuple[Tensor, LinearAttentionState]:
        """Outputs of the tokens ``x`` that follow those in ``state``, and the state after them; O(1) memory.

        Raises:
            ValueError: the layer is not causal.
        """
        if not self.causal:
            raise ValueError("only causal attention can be extended token by token")
        out, after = self._attend(x, state, mask=None, positions=None, keep_state=True)
        assert after is not None
        return out, after

    def weights(self, x: Tensor, *, positions: Tensor | None = None) -> Tensor:
        """w_st = <M_s phi(q_s), M_t phi(k_t)> over sum_t |w_st|: Float[batch heads length length], for pictures.

        Quadratic; for layers that are not causal. Rotated scores may be negative.
        """
        query, key, _ = self.project(x)
        query, key = self.feature_map(query, is_query=True), self.feature_map(key, is_query=False)
        query, key = self.encode(query, key, positions=positions)
        scores = query @ key.mT
        return scores / scores.abs().sum(-1, keepdim=True).clamp(min=self.eps)

    def _attend(
        self,
        x: Tensor,
        state: LinearAttentionState | None,
        *,
        mask: Tensor | None,
        positions: Tensor | None,
        keep_state: bool,
    ) -> tuple[Tensor, LinearAttentionState | None]:
        offset = state.position if state else 0
        query, key, value = self.project(x)
        dtype = value.dtype
        if self.normalizer != "denominator" and dtype == torch.float16:
            # float16 ends at 65,504, which sums over some thousand tokens pass before they are normalized
            query, key, value = query.float(), key.float(), value.float()
        plain_query = self.feature_map(query, offset=offset, is_query=True)
        plain_key = self.feature_map(key, offset=offset, is_query=False)
        encoding = None if self.prefix_tokens else self.encoding
        query, key = plain_query, plain_key
        if encoding is None:
            query, key = self.encode(query, key, positions=positions, offset=offset)
        plain = self.normalizer == "denominator" and self.denominator_from == "plain"
        result = linear_attention(
            query,
            key,
            value,
            causal=self.causal,
            log_decay=self.encoding.log_decay,
            one_sided_decay=self.encoding.one_sided_decay,
            denominator=self.normalizer == "denominator",
            eps=self.eps,
            clamped=self.clamped if self.training else None,
            key_padding_mask=mask,
            denominator_query=plain_query if plain else None,
            denominator_key=plain_key if plain else None,
            chunk_size=self.chunk_size,
            state=state,
            return_state=keep_state,
            encoding=encoding,
            positions=positions,
            offset=offset,
        )
        out, after = result if isinstance(result, tuple) else (result, None)
        return self._finish(out, dtype), after

    def _finish(self, out: Tensor, dtype: torch.dtype) -> Tensor:
        return self.output_projection(self.norm(self.join(out)).to(dtype))

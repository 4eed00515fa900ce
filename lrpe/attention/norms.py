"""Norms of attention's sums, which may be of a wider type than the model."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm(nn.LayerNorm):
    """:class:`torch.nn.LayerNorm` in its input's dtype, whatever that of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class RMSNorm(nn.RMSNorm):
    """:class:`torch.nn.RMSNorm` in its input's dtype, whatever that of its weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)

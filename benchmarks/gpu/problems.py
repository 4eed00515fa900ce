"""What is checked and timed: encodings as learned as they can be, and inputs as a layer makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from lrpe import LRPE

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def encoding(core: str, head_dim: int, heads: int) -> LRPE:
    """Householder and angles, both learned."""
    options = {"projection": "householder", "learn_angles": True, "learn_projection": True, "seed": 0}
    return LRPE(head_dim, heads, core=core, **options).to(DEVICE)


def heads_of(batch: int, heads: int, length: int, dims: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    """Tensors (batch, heads, length, dim) that are (batch, length, heads, dim) in memory, each with a gradient."""
    shapes = [(batch, length, heads, dim) for dim in dims]
    return [torch.rand(shape, device=DEVICE, dtype=dtype).transpose(1, 2).requires_grad_() for shape in shapes]

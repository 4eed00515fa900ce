"""Positions: from what the caller gives to one integer tensor of shape (batch or 1, length, ndim)."""

from __future__ import annotations

import torch
from torch import Tensor

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def resolve_positions(
    positions: Tensor | None, offset: int, *, batch: int, length: int, ndim: int, device: torch.device
) -> Tensor:
    """Positions as an int64 tensor of shape (batch or 1, length, ndim).

    Args:
        positions: integers, (length,) or (batch, length) for ndim 1; (length, ndim) or (batch, length, ndim) for
            ndim > 1. None stands for ``offset + arange(length)``, which exists for ndim 1 only.
        offset: position of the first token where ``positions`` is None.

    Raises:
        TypeError: positions are no tensor of integers, or offset is no integer.
        ValueError: the shape does not fit, both positions and offset are given, or ndim > 1 comes without positions.
    """
    if positions is None:
        if ndim > 1:
            raise ValueError(f"positions must be given for ndim={ndim}, with shape ({length}, {ndim}); got None")
        if isinstance(offset, (float, Tensor)):
            raise TypeError(f"offset must be an integer, got {offset!r}")
        return torch.arange(length, device=device).add(offset).view(1, length, 1)
    if not isinstance(positions, Tensor):
        raise TypeError(f"positions must be a tensor of integers or None, got {type(positions).__name__}")
    if positions.dtype not in INTEGERS:
        raise TypeError(f"positions must be integers, got a tensor of {positions.dtype}")
    if not isinstance(offset, int) or offset != 0:
        raise ValueError(f"give positions or offset, not both: got positions and offset={offset}")
    inner = (length,) if ndim == 1 else (length, ndim)
    shape = tuple(positions.shape)
    if shape not in (inner, (batch, *inner)):
        raise ValueError(f"positions must have shape {inner} or {(batch, *inner)}, got {shape}")
    rows = batch if len(shape) > len(inner) else 1
    return positions.to(device=device, dtype=torch.int64).reshape(rows, length, ndim)

"""How many denominators of linear attention had to be clamped."""

from __future__ import annotations

from torch import Tensor


def count_clamped(counts: Tensor, total: Tensor, eps: float) -> None:
    """Add to ``counts``, Int64[2], how many of the sums ``total`` are below ``eps`` and how many there are.

    Nothing waits for the device.
    """
    counts[0] += (total < eps).sum()
    counts[1] += total.numel()

"""LRPE-d: an exponential decay of the score with distance, one rate a head and layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lrpe.validation import check_choice

DECAYS = ("none", "fixed", "slopes")


def fixed_log_decay(num_heads: int, layer_fraction: float) -> Tensor:
    """log lambda_h = -(8h/H) (1 - l/L), h = 0..H-1: Float32[heads].

    The schedule in the text of TransNormerLLM (arXiv 2307.14995): lambda_h = exp(-(8h/H) (1 - l/L)) multiplies the
    score once a step of distance. Head 0 does not decay at all, so a model of one head has no decay under it.
    """
    head = torch.arange(num_heads, dtype=torch.float64)
    return (-8 * head / num_heads * (1 - layer_fraction)).float()


def slopes_log_decay(num_heads: int, layer_fraction: float) -> Tensor:
    """log lambda_h = -m_h (1 - l/L) with ALiBi's slopes m_h: Float32[heads].

    The schedule in TransNormerLLM's released code. m_h = 2^(-8 (h+1)/H) where H is a power of two; else the slopes
    of the next smaller power of two, followed by every other slope of the next larger one.
    """
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (h + 1) / power) for h in range(power)]
    slopes += [2 ** (-4 * (2 * h + 1) / power) for h in range(num_heads - power)]
    return (-torch.tensor(slopes, dtype=torch.float64) * (1 - layer_fraction)).float()


def build_log_decay(decay: str, num_heads: int, layer_fraction: float) -> Tensor | None:
    """The decay by name, or None for "none".

    Args:
        layer_fraction: l/L, how deep in the model the layer is (0: the first layer, with the fastest decay).

    Raises:
        ValueError: an unknown name, or a fraction outside [0, 1].
    """
    check_choice("decay", decay, DECAYS)
    if not 0 <= layer_fraction <= 1:
        raise ValueError(f"layer_fraction must be in [0, 1], got {layer_fraction!r}")
    if decay == "none":
        return None
    return (
        fixed_log_decay(num_heads, layer_fraction) if decay == "fixed" else slopes_log_decay(num_heads, layer_fraction)
    )

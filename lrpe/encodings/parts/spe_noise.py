"""Gaussian noise that is a function of a key and an index: any part of it can be drawn alone, on any device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Odd constants of 64 bits, as signed integers, of the splitmix64 generator (Steele, Lea, Flood, OOPSLA 2014).
STEP = 0x9E3779B97F4A7C15 - 2**64
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64
CACHED = 2**16


def shift_right(x: Tensor, bits: int) -> Tensor:
    """A logical shift; torch's own keeps the sign."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def scramble(x: Tensor) -> Tensor:
    """The output function of splitmix64: a bijection of 64-bit integers in which every input bit moves every other."""
    x = (x ^ shift_right(x, 30)) * FIRST
    x = (x ^ shift_right(x, 27)) * SECOND
    return x ^ shift_right(x, 31)


def gaussian(key: Tensor, stream: int, rows: Tensor, columns: int) -> Tensor:
    """Independent N(0, 1) numbers: Float32[rows columns].

    Row r, column c depend on ``key``, ``stream``, ``rows[r]`` and c alone: not on which other rows are drawn, and not
    on the global generator. The values are float32 in every computing dtype, so that a model sees the same noise in
    all of them.

    Args:
        key: Int64[], any value.
        stream: a small integer that separates different uses of one key.
        rows: Int64[rows], any values.
        columns: numbers per row.
    """
    pairs = (columns + 1) // 2
    start = scramble(scramble(key.to(rows.device) + STEP) + stream * STEP)
    column = torch.arange(pairs, device=rows.device)
    result = torch.empty(len(rows), 2 * pairs, dtype=torch.float32, device=rows.device)
    parts = [(rows, result)]
    # On a CPU the twenty steps of a number are fast only while the numbers stay in the cache; torch.compile fuses them.
    if rows.device.type == "cpu" and not torch.compiler.is_compiling():
        group = max(1, CACHED // pairs)
        parts = zip(rows.split(group), result.split(group), strict=True)
    for part, output in parts:
        bits = scramble((part[:, None] * pairs + column).mul_(STEP).add_(start))
        # Box and Muller: the upper half of the bits makes the radius, the lower half the angle.
        uniform = shift_right(bits, 32).float().add_(0.5).mul_(2.0**-32)
        angle = (bits & (2**32 - 1)).float().mul_(2 * math.pi * 2.0**-32)
        radius = uniform.log_().mul_(-2).sqrt_()
        output[:, 0::2] = angle.cos().mul_(radius)
        output[:, 1::2] = angle.sin_().mul_(radius)
    return result[:, :columns]


def shared_gaussian(key: Tensor, stream: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Independent N(0, 1) numbers of a shape, the same at all positions: Float32[*shape]."""
    row = torch.zeros(1, dtype=torch.int64, device=device)
    return gaussian(key, stream, row, math.prod(shape)).view(shape)

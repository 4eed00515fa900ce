"""Both kinds of SPE, and their kernels written out."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from lrpe.encodings import SPE

KINDS = [{"kind": "sine", "num_sines": 2}, {"kind": "conv", "kernel_size": 4}]


def kernel_of(encoding: SPE, difference: int) -> torch.Tensor:
    """The covariance of a query's and a key's code at s - t = difference, written out: (heads, head_dim)."""
    codes = encoding.codes
    if hasattr(codes, "gains"):
        turns = torch.sigmoid(codes.frequencies.double()) / 2
        waves = torch.cos(2 * math.pi * turns * difference + codes.offsets.double())
        covariance = (F.softplus(codes.gains.double()) ** 2 * waves).sum(-1) / (2 * codes.gains.shape[-1])
    else:
        size = codes.query_kernel.shape[-1]
        covariance = torch.zeros(encoding.num_heads, encoding.head_dim, dtype=torch.float64)
        for i in range(size):
            for j in range(size):
                # z(s + i) and z(t + j) are the same number where s + i = t + j.
                if difference + i == j:
                    covariance += codes.query_kernel[..., i].double() * codes.key_kernel[..., j].double()
    if encoding.gate is not None:
        gate = torch.sigmoid(encoding.gate.double())
        covariance = gate * covariance + (1 - gate)
    return math.sqrt(encoding.output_dim / encoding.head_dim) * covariance

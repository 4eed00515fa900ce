"""Codes: for every position, a random d x R matrix for queries and one for keys, jointly Gaussian."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lrpe.encodings.base import Plan
from lrpe.encodings.parts.angles import TURN, reduce_turns
from lrpe.encodings.parts.spe_noise import gaussian, shared_gaussian

SPAN_EXCEEDED = (
    "spe with kind=conv on several axes, compiled: the largest and the smallest position of an axis must differ by "
    "less than the number of positions; call the model without torch.compile"
)


class Codes(nn.Module, ABC):
    """sum_d x_d code_d(s) for one realization of the noise, and the covariance of the codes over all of them.

    The codes are unscaled: E[qcode_dr(s) kcode_dr(t)] = covariance_d(s - t), independent over d and r.
    """

    @abstractmethod
    def plan(
        self, positions: Tensor, key: Tensor, dtype: torch.dtype, *, consecutive: bool = False, dense: bool = False
    ) -> Plan:
        """What query and key share at positions Int[batch|1 length], the noise above all.

        ``consecutive``: the positions are known to be one row, each one more than the last. ``dense``: they are known
        to be one row whose largest and smallest differ by less than its length.
        """

    @abstractmethod
    def forward(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        """Float[batch heads length d] to Float[batch heads length realizations]."""

    @abstractmethod
    def covariance(self, difference: Tensor) -> Tensor:
        """The closed form at differences s - t, Int[n]: Float64[heads d n]."""


class SineCodes(Codes):
    """qcode(s) = sum_k g_k / sqrt(2K) (cos(2 pi f_k s + o_k) z_k + sin(2 pi f_k s + o_k) z'_k); keys without o_k.

    z, z' ~ N(0, 1) are the same at all positions, for query and key. Per head and feature: frequencies
    f = sigmoid(frequencies)/2, gains g = softplus(gains), offsets o. The covariance is
    sum_k g_k^2 / (2K) cos(2 pi f_k (s - t) + o_k).
    """

    spared_from_decay = ("frequencies", "offsets")

    def __init__(
        self, head_dim: int, num_heads: int, *, num_realizations: int, num_sines: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        shape = (num_heads, head_dim, num_sines)
        self.num_realizations = num_realizations
        # The starts of the published module: low frequencies, that is long ranges, and normalized gains.
        self.frequencies = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float32) - 4)
        self.offsets = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float32))
        gains = torch.randn(shape, generator=generator, dtype=torch.float32)
        self.gains = nn.Parameter(2 * gains / gains.norm(dim=-1, keepdim=True).sqrt())

    def plan(
        self, positions: Tensor, key: Tensor, dtype: torch.dtype, *, consecutive: bool = False, dense: bool = False
    ) -> Plan:
        heads, head_dim, num_sines = self.gains.shape
        turns = torch.sigmoid(self.frequencies.double()) / 2
        phase = TURN * turns[:, None] * positions[:, None, :, None, None].double()
        noise = shared_gaussian(key, 0, (heads, head_dim * num_sines * 2, self.num_realizations), positions.device)
        return phase, noise.to(dtype)

    def forward(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        phase, noise = plan
        if is_query:
            phase = phase + self.offsets.double()[:, None]
        phase = reduce_turns(phase).to(x.dtype)
        amplitude = F.softplus(self.gains.to(x.dtype)) / math.sqrt(2 * self.gains.shape[-1])
        waves = torch.stack((phase.cos(), phase.sin()), dim=-1) * amplitude[:, None, :, :, None]
        # The noise is the same at all positions: so this is a matrix product, and no codes are ever formed.
        return (x[..., None, None] * waves).flatten(-3) @ noise

    @torch.no_grad()
    def covariance(self, difference: Tensor) -> Tensor:
        turns = torch.sigmoid(self.frequencies.double()) / 2
        phase = TURN * turns[..., None] * difference.double() + self.offsets.double()[..., None]
        gains = F.softplus(self.gains.double())[..., None]
        return (gains**2 / (2 * self.gains.shape[-1]) * phase.cos()).sum(-2)


class ConvolutionCodes(Codes):
    """qcode(s) = sum_j w^q_j z(s + j), kcode(t) = sum_j w^k_j z(t + j), j = 0..K-1, with white noise z.

    Per head and feature, one kernel for queries and one for keys. The covariance is sum_j w^q_j w^k_(j + s - t): zero
    at distances of K and more. The noise of a position is drawn from its number, so that a part of a sequence gets
    the codes it has in the whole.
    """

    BLOCK = 64

    def __init__(
        self, head_dim: int, num_heads: int, *, num_realizations: int, kernel_size: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        shape = (num_heads, head_dim, kernel_size)
        self.num_realizations = num_realizations
        scale = math.sqrt(2 / kernel_size)
        self.query_kernel = nn.Parameter(torch.rand(shape, generator=generator, dtype=torch.float32) * scale)
        self.key_kernel = nn.Parameter(torch.rand(shape, generator=generator, dtype=torch.float32) * scale)

    def plan(
        self, positions: Tensor, key: Tensor, dtype: torch.dtype, *, consecutive: bool = False, dense: bool = False
    ) -> Plan:
        heads, head_dim, size = self.query_kernel.shape
        reach = torch.arange(size, device=positions.device)
        row_of, index = positions[:0], reach
        if consecutive or dense:  # shapes that do not depend on the positions' values: torch.compile needs them
            first = positions[0, 0]
            if dense:
                first, last = positions.aminmax()
                row_of = positions - first
                torch._assert_async(last - first < positions.shape[1], SPAN_EXCEEDED)  # pyright: ignore[reportPrivateImportUsage]
            needed = first + torch.arange(positions.shape[1] + size - 1, device=positions.device)
        else:
            distinct, row_of = torch.unique(positions, return_inverse=True)
            if len(distinct) > 0 and int(distinct[-1] - distinct[0]) == len(distinct) - 1:
                needed = distinct[0] + torch.arange(len(distinct) + size - 1, device=positions.device)
            else:
                needed, index = torch.unique(distinct[:, None] + reach, return_inverse=True)
        noise = gaussian(key, 0, needed, heads * head_dim * self.num_realizations)
        return row_of, index, noise.to(dtype).view(len(needed), heads * head_dim, self.num_realizations)

    def forward(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        row_of, index, noise = plan
        kernel = (self.query_kernel if is_query else self.key_kernel).to(x.dtype)
        heads, head_dim, size = kernel.shape
        kernel = kernel.flatten(0, 1)
        if index.ndim == 1:
            codes = convolve(kernel, noise, self.BLOCK)
        else:
            terms = (noise[index[:, j]] * kernel[:, j, None] for j in range(size))
            codes = cast(Tensor, sum(terms)).transpose(0, 1)
        codes = codes.unflatten(0, (heads, head_dim)).transpose(1, 2)
        # One product a head and position with the whole batch as its rows; the codes are too large to repeat or copy.
        if len(row_of) <= 1:
            if len(row_of) == 1 and not self._in_order(row_of[0], codes.shape[1]):
                codes = codes[:, row_of[0]]
            return (x.permute(1, 2, 0, 3) @ codes).permute(2, 0, 1, 3)
        return torch.stack([(row[:, :, None] @ codes[:, of])[:, :, 0] for row, of in zip(x, row_of, strict=True)])

    @staticmethod
    def _in_order(row_of: Tensor, length: int) -> bool:
        if torch.compiler.is_compiling():  # a branch on values would end the graph
            return False
        return torch.equal(row_of, torch.arange(length, device=row_of.device))

    @torch.no_grad()
    def covariance(self, difference: Tensor) -> Tensor:
        query, key = self.query_kernel.double(), self.key_kernel.double()
        size = query.shape[-1]
        result = []
        for shift in difference.tolist():
            first = max(0, -shift)
            last = max(first, min(size, size - shift))
            result.append((query[..., first:last] * key[..., first + shift : last + shift]).sum(-1))
        return torch.stack(result, dim=-1)


def convolve(kernel: Tensor, signal: Tensor, block: int) -> Tensor:
    """y_c(s) = sum_j kernel_cj signal_c(s + j) for consecutive s: Float[channels length realizations].

    As matrix products with the Toeplitz matrix of a block of positions: a depthwise convolution of this shape runs at
    a twentieth of their speed on a CPU.

    Args:
        kernel: Float[channels size]
        signal: Float[length+size-1 channels realizations]
        block: positions a product.
    """
    size = kernel.shape[1]
    if torch.compiler.is_compiling():  # the loop below would be unrolled, for one length
        return F.conv1d(signal.permute(2, 1, 0), kernel[:, None], groups=len(kernel)).permute(1, 2, 0)
    length = len(signal) - size + 1
    block = min(block, length)
    toeplitz = F.pad(kernel, (block - 1, block - 1)).unfold(1, block + size - 1, 1).flip(1)
    signal = signal.transpose(0, 1)
    parts = []
    for start in range(0, length, block):
        rows = min(block, length - start)
        parts.append(toeplitz[:, :rows, : rows + size - 1] @ signal[:, start : start + rows + size - 1])
    return torch.cat(parts, dim=1)

"""phi: what linear attention applies to queries and keys before they are encoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrpe.validation import check_choice


class FeatureMap(nn.Module):
    """phi: ``(batch, heads, length, head_dim)`` -> ``(batch, heads, length, output_dim)``, in the input's dtype."""

    def __init__(self, head_dim: int, output_dim: int | None = None) -> None:
        super().__init__()
        if head_dim < 1:
            raise ValueError(f"head_dim={head_dim}: expected at least 1")
        self.head_dim = head_dim
        self.output_dim = output_dim or head_dim

    def forward(self, x: Tensor, *, offset: int = 0, is_query: bool = False) -> Tensor:
        """``offset`` is the position of the first token; ``is_query`` matters to maps that scale the two apart."""
        raise NotImplementedError


class Elementwise(FeatureMap):
    """One function of each feature."""

    function: Callable[[Tensor], Tensor]

    def __init__(self, head_dim: int, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(head_dim)
        self.function = function

    def forward(self, x: Tensor, *, offset: int = 0, is_query: bool = False) -> Tensor:
        return self.function(x)


class Exponential(FeatureMap):
    """phi(x) = exp(x - max_j x_j): the maximum, over a token's features, keeps it finite and is a positive factor a
    token; a query's cancels in the denominator."""

    def forward(self, x: Tensor, *, offset: int = 0, is_query: bool = False) -> Tensor:
        return torch.exp(x - x.amax(dim=-1, keepdim=True).detach())


class CosFormer(FeatureMap):
    """phi(x)_i = [relu(x) cos(pi i / 2M), relu(x) sin(pi i / 2M)], so <phi(q)_i, phi(k)_j> =
    <relu(q), relu(k)> cos(pi (i - j) / 2M) (Qin et al. 2022, cosFormer, eq. 8 to 10).

    Args:
        head_dim: features per head; the output has twice as many.
        max_length: M. A constant, and not the batch's length as in the paper, so that a prefix keeps its features.
    """

    def __init__(self, head_dim: int, max_length: int) -> None:
        super().__init__(head_dim, 2 * head_dim)
        if not isinstance(max_length, int) or max_length < 1:
            raise ValueError(f"max_length={max_length!r}: cosformer needs the longest length, a positive integer")
        self.max_length = max_length

    def forward(self, x: Tensor, *, offset: int = 0, is_query: bool = False) -> Tensor:
        end = offset + x.shape[-2]
        if end > self.max_length:
            raise ValueError(f"position {end - 1} is beyond cosformer's max_length={self.max_length}")
        work = torch.float64 if x.dtype == torch.float64 else torch.float32
        angle = torch.arange(offset, end, device=x.device, dtype=work) * (math.pi / 2 / self.max_length)
        rows = F.relu(x).to(work)
        return torch.cat([rows * torch.cos(angle)[:, None], rows * torch.sin(angle)[:, None]], dim=-1).to(x.dtype)


class Favor(FeatureMap):
    """FAVOR+: phi(x) = m^(-1/2) exp(W x' - |x'|^2 / 2), x' = x head_dim^(-1/4), rows of W orthogonal and Gaussian in
    length, so E<phi(q), phi(k)> = exp(<q, k> / sqrt(head_dim)) (Choromanski et al. 2021, lemma 1 and section 2.4).

    The query's largest exponent is taken off (it cancels in the denominator); the key's is not, because one factor for
    all keys would have to look into the future.

    Args:
        head_dim: features per head.
        num_features: m; by default head_dim ln(head_dim), rounded to an even number, which rotations need.
        seed: of W, which is a buffer and goes with the checkpoint; None draws from torch's global generator.
    """

    def __init__(self, head_dim: int, num_features: int | None = None, seed: int | None = None) -> None:
        features = num_features or max(2, 2 * round(head_dim * math.log(max(head_dim, 3)) / 2))
        super().__init__(head_dim, features)
        if features < 1:
            raise ValueError(f"num_features={num_features}: expected at least 1")
        drawn = int(torch.randint(2**62, (), device="cpu")) if seed is None else seed
        self.register_buffer("projection", _orthogonal_gaussian(features, head_dim, drawn))

    def forward(self, x: Tensor, *, offset: int = 0, is_query: bool = False) -> Tensor:
        work = torch.float64 if x.dtype == torch.float64 else torch.float32
        scaled = x.to(work) * self.head_dim**-0.25
        exponent = scaled @ self.projection.to(work).mT - scaled.square().sum(-1, keepdim=True) / 2
        if is_query:
            exponent = exponent - exponent.amax(dim=-1, keepdim=True).detach()
        return (torch.exp(exponent) * self.output_dim**-0.5).to(x.dtype)


def _orthogonal_gaussian(rows: int, columns: int, seed: int) -> Tensor:
    """Blocks of orthogonal rows whose lengths are those of Gaussian vectors; float32."""
    generator = torch.Generator().manual_seed(seed)
    draw = {"generator": generator, "device": "cpu", "dtype": torch.float64}
    blocks = []
    for first in range(0, rows, columns):
        basis, triangle = torch.linalg.qr(torch.randn(columns, columns, **draw))
        basis = basis * torch.sign(torch.diagonal(triangle))
        blocks.append(basis.T[: rows - first])
    lengths = torch.randn(rows, columns, **draw).norm(dim=1, keepdim=True)
    return (torch.cat(blocks) * lengths).float()


def _one_plus_elu(x: Tensor) -> Tensor:
    return F.elu(x) + 1


FEATURE_MAPS: dict[str, Callable[..., FeatureMap]] = {
    "1+elu": lambda head_dim: Elementwise(head_dim, _one_plus_elu),
    "relu": lambda head_dim: Elementwise(head_dim, F.relu),
    "elu": lambda head_dim: Elementwise(head_dim, F.elu),
    "silu": lambda head_dim: Elementwise(head_dim, F.silu),
    "identity": lambda head_dim: Elementwise(head_dim, _identity),
    "exp": Exponential,
    "cosformer": CosFormer,
    "favor": Favor,
}


def _identity(x: Tensor) -> Tensor:
    return x


def build_feature_map(name: str, head_dim: int, **options: Any) -> FeatureMap:
    """The feature map called ``name``.

    Raises:
        ValueError: an unknown name (the nearest is named), or an option that the map does not take.
    """
    check_choice("feature_map", name, FEATURE_MAPS)
    try:
        return FEATURE_MAPS[name](head_dim, **options)
    except TypeError as error:
        raise ValueError(f"feature_map={name!r} does not take these options: {error}") from error

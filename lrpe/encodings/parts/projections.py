"""P: a unitary map of a head's features, the same for query, key and every position."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from lrpe.encodings.parts.seeding import seeded_generator
from lrpe.validation import check_choice


class Projection(nn.Module, ABC):
    """P x for Float[batch heads length d].

    ``fresh``: the result is a new tensor that the caller may overwrite. ``complex_output``: the result is the 2d real
    features concat(Re, Im).
    """

    fresh = True
    complex_output = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """P x: Float[batch heads length d], or 2d features if complex."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """The definition: Float64 or Complex128 [num_heads|1 d d]."""


class Identity(Projection):
    """P = I."""

    fresh = False

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim

    def forward(self, x: Tensor) -> Tensor:
        return x

    def matrix(self) -> Tensor:
        return torch.eye(self.head_dim, dtype=torch.float64)[None]


class Householder(Projection):
    """P = I - 2 v v^T / |v|^2, as a rank-one update.

    v is drawn from N(0, I): once, and kept in the checkpoint, or as the start of a float32 parameter. It is divided by
    its norm at every use, so that P is orthogonal whatever v has become.

    Args:
        num_heads: vectors (1: shared by all heads).
    """

    def __init__(self, head_dim: int, num_heads: int, *, learned: bool, generator: torch.Generator) -> None:
        super().__init__()
        vector = torch.randn(num_heads, head_dim, generator=generator, dtype=torch.float32)
        if learned:
            self.vector = nn.Parameter(vector)
        else:
            self.register_buffer("vector", vector)

    def unit(self, dtype: torch.dtype) -> Tensor:
        """v / |v|: ``dtype``[heads|1 d]."""
        vector = self.vector.to(dtype)
        return vector / vector.norm(dim=-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        unit = self.unit(x.dtype)
        if len(unit) == 1:
            # A matrix-vector product reads x once; it would copy x unless its axes are in the order of memory.
            coefficient = x @ unit[0] if x.is_contiguous() else (x.transpose(1, 2) @ unit[0]).transpose(1, 2)
            unit = unit[0]
        else:
            unit = unit[:, None]
            coefficient = (x * unit).sum(-1)
        return torch.addcmul(x, coefficient[..., None], unit, value=-2)

    def matrix(self) -> Tensor:
        vector = self.vector.detach().to("cpu", torch.float64)[..., None]
        identity = torch.eye(vector.shape[1], dtype=torch.float64)
        return identity - 2 * vector @ vector.mT / (vector.mT @ vector)


class OddEven(Projection):
    """The fixed permutation y_2k = x_k, y_2k+1 = x_(ceil(d/2)+k): for d = 8 the indices 0 4 1 5 2 6 3 7.

    Rotating neighboring pairs after it is rotating the pairs (x_k, x_(d/2+k)): the half-split layout of RoPE.
    """

    index: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        half = (head_dim + 1) // 2
        index = torch.tensor([k // 2 if k % 2 == 0 else half + k // 2 for k in range(head_dim)])
        self.register_buffer("index", index, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(-1, self.index)

    def matrix(self) -> Tensor:
        matrix = torch.zeros(1, len(self.index), len(self.index), dtype=torch.float64)
        for row, column in enumerate(self.index.tolist()):
            matrix[0, row, column] = 1
        return matrix


class CosineTransform(Projection):
    """The orthonormal DCT-II, y_k = c_k sum_n x_n cos(pi (2n + 1) k / (2d)), c_0 = sqrt(1/d), c_k = sqrt(2/d)."""

    basis: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        index = torch.arange(head_dim, dtype=torch.float64)
        basis = torch.cos(math.pi / (2 * head_dim) * torch.outer(index, 2 * index + 1)) * math.sqrt(2 / head_dim)
        basis[0] /= math.sqrt(2)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.basis.to(x.dtype).T

    def matrix(self) -> Tensor:
        return self.basis.cpu()[None]


class FourierTransform(Projection):
    """The orthonormal DFT, y_k = d^(-1/2) sum_n x_n exp(-2 pi i n k / d): complex, for the unitary core.

    All d frequencies, as in the paper. (A later state of the published code keeps d/2 + 1 of them.)
    """

    complex_output = True
    basis: Tensor

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        index = torch.arange(head_dim)
        # The product is taken modulo d in integers, so that no angle exceeds a turn.
        angle = (torch.outer(index, index) % head_dim).double() * (-2 * math.pi / head_dim)
        basis = torch.cat((angle.cos(), angle.sin())) / math.sqrt(head_dim)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.basis.to(x.dtype).T

    def matrix(self) -> Tensor:
        return torch.complex(*self.basis.cpu().chunk(2))[None]


PROJECTIONS = {
    "identity": Identity,
    "householder": Householder,
    "odd_even": OddEven,
    "dct": CosineTransform,
    "dft": FourierTransform,
}


def build_projection(name: str, head_dim: int, num_heads: int, *, learned: bool, seed: int | None) -> Projection:
    """A projection by name.

    Raises:
        ValueError: an unknown name, or a projection that has nothing to learn although ``learned`` is asked for.
    """
    check_choice("projection", name, PROJECTIONS)
    if name == "householder":
        generator = seeded_generator(seed, "householder")
        return Householder(head_dim, num_heads, learned=learned, generator=generator)
    if learned:
        raise ValueError(f"learn_projection=True needs projection='householder', got projection={name!r}")
    return PROJECTIONS[name](head_dim)

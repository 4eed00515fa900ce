"""Places of patches in an image, and vectors for them that are added to the patch embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lrpe.encodings import SinusoidalPositions
from lrpe.encodings.parts.precision import drawn_in_float32
from lrpe.validation import check_choice


def grid_positions(grid: tuple[int, int], device: torch.device | None = None) -> Tensor:
    """(row, column) of every patch, row by row: Int[rows*columns 2]."""
    rows, columns = (torch.arange(size, device=device) for size in grid)
    return torch.cartesian_prod(rows, columns)


class SinusoidalGrid(nn.Module):
    """concat(p(row), p(column)) with the sinusoidal positions p of half the width.

    Raises:
        ValueError: embed_dim is no multiple of 4, or smaller than 8.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        if embed_dim % 4 or embed_dim < 8:
            raise ValueError(f"embed_dim must be a multiple of 4 and at least 8 for two axes of sines, got {embed_dim}")
        self.axis = SinusoidalPositions(embed_dim // 2)

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Float32[rows*columns embed_dim]"""
        rows, columns = (self.axis(size) for size in grid)
        pairs = (rows[:, None].expand(-1, len(columns), -1), columns.expand(len(rows), -1, -1))
        return torch.cat(pairs, dim=-1).flatten(0, 1)


class LearnedGrid(nn.Module):
    """One learned vector for each patch of the training grid, started from N(0, std^2); other grids are interpolated
    bicubically, as DeiT does."""

    @drawn_in_float32
    def __init__(self, embed_dim: int, grid: tuple[int, int], std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*grid, embed_dim, dtype=torch.float32) * std)

    def forward(self, grid: tuple[int, int]) -> Tensor:
        """Float[rows*columns embed_dim], of the parameter's dtype."""
        weight = self.weight
        if grid != tuple(weight.shape[:2]):
            image = weight.permute(2, 0, 1)[None]
            weight = F.interpolate(image, size=grid, mode="bicubic", align_corners=False)[0].permute(1, 2, 0)
        return weight.flatten(0, 1)

    def extra_repr(self) -> str:
        return "rows={}, columns={}, embed_dim={}".format(*self.weight.shape)


def build_image_positions(
    name: str, embed_dim: int, grid: tuple[int, int], std: float
) -> SinusoidalGrid | LearnedGrid | None:
    """Absolute positions of an image by name: none (returns None), sinusoidal or learned.

    Raises:
        ValueError: an unknown name, or a width that does not fit.
    """
    check_choice("absolute", name, ("none", "sinusoidal", "learned"))
    if name == "none":
        return None
    return SinusoidalGrid(embed_dim) if name == "sinusoidal" else LearnedGrid(embed_dim, grid, std)

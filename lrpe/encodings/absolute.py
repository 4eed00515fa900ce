"""Absolute positions: vectors that are added to the token embeddings, once, before the first layer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lrpe.encodings.parts.angles import BASE, reduce_turns
from lrpe.encodings.parts.positions import resolve_positions
from lrpe.encodings.parts.precision import PreciseModule, drawn_in_float32
from lrpe.validation import check_choice, check_positive


def token_positions(
    x: int | Tensor, positions: Tensor | None, offset: int, device: torch.device
) -> tuple[Tensor, torch.dtype | None]:
    """Positions Int[length] or Int[batch length] of tokens or embeddings x, and x's dtype if it is floating."""
    if isinstance(x, Tensor):
        if x.ndim < 2:
            raise ValueError(f"x must be Int[batch length] or Float[batch length embed_dim], got {tuple(x.shape)}")
        batch, length = x.shape[:2]
        device = x.device
        dtype = x.dtype if x.is_floating_point() else None
    else:
        length, dtype = x, None
        batch = positions.shape[0] if isinstance(positions, Tensor) and positions.ndim > 1 else 1
    resolved = resolve_positions(positions, offset, batch=batch, length=length, ndim=1, device=device)[..., 0]
    batched = isinstance(positions, Tensor) and positions.ndim > 1
    return (resolved if batched else resolved[0]), dtype


class SinusoidalPositions(PreciseModule):
    """concat(sin(s' f), cos(s' f)) with s' = s + first, f_j = 10000^(-j/(m-1)), j = 0..m-1, m = embed_dim/2.

    The layout and the frequencies of fairseq's sinusoidal positions (after tensor2tensor; "Attention is all you need"
    interleaves sines and cosines and divides by m).

    Args:
        embed_dim: even, at least 4.
        first: what position 0 counts as; fairseq counts from padding index + 1 = 2.

    Raises:
        ValueError: an odd or too small embed_dim, or a negative ``first``.
    """

    frequencies: Tensor

    def __init__(self, embed_dim: int, first: int = 0) -> None:
        super().__init__()
        if isinstance(first, bool) or not isinstance(first, int) or first < 0:
            raise ValueError(f"first must be an integer of at least 0, got {first!r}")
        self.first = first
        check_positive("embed_dim", embed_dim)
        if embed_dim % 2 or embed_dim < 4:
            raise ValueError(f"embed_dim must be even and at least 4 for sinusoidal positions, got {embed_dim}")
        self.embed_dim = embed_dim
        index = torch.arange(embed_dim // 2, dtype=torch.float64)
        frequencies = torch.exp(-math.log(BASE) / (embed_dim // 2 - 1) * index)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: int | Tensor, *, positions: Tensor | None = None, offset: int = 0) -> Tensor:
        """The vectors of the positions of x.

        Args:
            x: a length, tokens Int[batch length], or embeddings Float[batch length embed_dim].
            positions: Int[length] or Int[batch length]; None stands for ``offset + arange(length)``.
            offset: position of the first token where positions is None.

        Returns:
            Float[length embed_dim], or Float[batch length embed_dim] for positions of that shape; in the dtype of x
            if that is floating, else float32.
        """
        resolved, dtype = token_positions(x, positions, offset, self.frequencies.device)
        angle = reduce_turns((resolved + self.first)[..., None].double() * self.frequencies)
        return torch.cat((angle.sin(), angle.cos()), dim=-1).to(dtype or torch.float32)


class LearnedPositions(nn.Module):
    """One learned vector for each of ``max_positions`` positions, started from N(0, 1/embed_dim).

    Raises:
        ValueError: dimensions that are not positive; in forward, a position outside [0, max_positions).
    """

    @drawn_in_float32
    def __init__(self, embed_dim: int, max_positions: int) -> None:
        super().__init__()
        self.embed_dim = check_positive("embed_dim", embed_dim)
        self.max_positions = check_positive("max_positions", max_positions)
        self.weight = nn.Parameter(torch.randn(max_positions, embed_dim, dtype=torch.float32) * embed_dim**-0.5)

    def forward(self, x: int | Tensor, *, positions: Tensor | None = None, offset: int = 0) -> Tensor:
        """The vectors of the positions of x: as :meth:`SinusoidalPositions.forward`, in the parameter's dtype."""
        resolved, _ = token_positions(x, positions, offset, self.weight.device)
        if positions is None:
            self._check(offset, offset + resolved.shape[-1] - 1)
            return self.weight[offset : offset + resolved.shape[-1]]
        # Reading the range waits for the device, and would split a compiled graph, where the gather checks it.
        if not torch.compiler.is_compiling() and resolved.numel():
            self._check(int(resolved.min()), int(resolved.max()))
        return self.weight[resolved]

    def _check(self, first: int, last: int) -> None:
        if first < 0 or last >= self.max_positions:
            raise ValueError(
                f"positions {first} to {last} exceed the {self.max_positions} learned ones (0 to "
                f"{self.max_positions - 1}): raise max_positions, or use positions without a limit (sinusoidal)"
            )

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, max_positions={self.max_positions}"


def build_absolute(
    name: str, embed_dim: int, max_positions: int, first_position: int = 0
) -> SinusoidalPositions | LearnedPositions | None:
    """Absolute positions by name: none (returns None), sinusoidal, or learned (the only one with a limit).

    Args:
        name: none, sinusoidal or learned.
        embed_dim: width.
        max_positions: of learned positions.
        first_position: what position 0 counts as (sinusoidal; a learned table's first row is position 0's anyway).

    Raises:
        ValueError: an unknown name, or dimensions that do not fit.
    """
    check_choice("absolute", name, ("none", "sinusoidal", "learned"))
    if name == "none":
        return None
    if name == "sinusoidal":
        return SinusoidalPositions(embed_dim, first_position)
    return LearnedPositions(embed_dim, max_positions)

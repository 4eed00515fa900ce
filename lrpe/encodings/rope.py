"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864), which is one member of the LRPE family."""

from __future__ import annotations

from lrpe.encodings.lrpe import LRPE
from lrpe.encodings.registry import register_encoding


@register_encoding("rope")
class RoPE(LRPE):
    """Neighboring pairs (x_2j, x_2j+1) rotated by s 10000^(-2j/d): LRPE's orthogonal core with P = I, fixed angles.

    The published experiments used the half-split layout, which pairs (x_j, x_(j+d/2)): that is
    ``LRPE(core="orthogonal", projection="odd_even")`` up to the order of the output features, which scores do not see.

    Args:
        head_dim: even.
        num_heads: heads.
        ndim: dimensions of a position.
        axes: for ndim > 1: own, split or shared; see :class:`~lrpe.encodings.parts.angles.Angles`.

    Raises:
        ValueError: an odd head_dim, or an unknown value of axes.
    """

    def __init__(self, head_dim: int, num_heads: int, *, ndim: int = 1, axes: str = "own") -> None:
        super().__init__(head_dim, num_heads, core="orthogonal", projection="identity", ndim=ndim, axes=axes)

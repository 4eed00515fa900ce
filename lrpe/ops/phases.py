"""What the kernels have to know of an encoding."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Phases:
    """M_s x = Lambda^(s) P x with Lambda^(s) = exp(i sum_a s_a theta_a) on complex features.

    Attributes:
        theta: ``(axes, 1 or heads, count)``, float32 or float64; differentiable. Features beyond ``count`` keep still.
        vector: Householder's v, ``(1 or heads, head_dim)`` float32, differentiable; None: P = I.
        layout: how ``head_dim`` real features are complex ones: ``neighbors`` or ``halves`` (orthogonal core; the
            result has neighbors), or ``real`` (unitary core; the result is concat(Re, Im)).
    """

    theta: Tensor
    vector: Tensor | None
    layout: str

    @property
    def out_layout(self) -> str:
        return "halves" if self.layout == "real" else "neighbors"


def encoded_dim(head_dim: int, layout: str) -> int:
    """Real features after encoding ``head_dim`` of them."""
    return 2 * head_dim if layout == "real" else head_dim


def complex_dim(head_dim: int, layout: str) -> int:
    """Complex features that ``head_dim`` real ones are."""
    return head_dim if layout == "real" else (head_dim + 1) // 2


def per_head(parts: Tensor, batch: int, heads: int, sets: int) -> Tensor:
    """The sum of what programs found, ``(batch * heads, programs, *rest)`` -> ``(sets, *rest)``, sets 1 or heads."""
    parts = parts.unflatten(0, (batch, heads))
    return parts.sum((0, 1, 2))[None] if sets == 1 else parts.sum((0, 2))

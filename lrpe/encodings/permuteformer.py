"""PermuteFormer (Chen 2021, arXiv 2109.02377): powers of a permutation and an exponential decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lrpe.encodings.base import Encoding, Plan
from lrpe.encodings.parts.permutation import Permutation
from lrpe.encodings.parts.seeding import seeded_generator
from lrpe.encodings.registry import register_encoding
from lrpe.validation import check_choice

PERMUTATIONS = ("per_head", "shared", "fixed")
# That of the original and of the LRPE paper's baseline. torch's present generator draws from it a permutation of 64
# features with cycles of the lengths that theirs had, so that the two differ by an order of the features at most.
FIXED_SEED = 0xDEADBEEFDEADBEEF


@register_encoding("permuteformer")
class PermuteFormer(Encoding):
    """M_s = Pi^s with a random permutation Pi, and a decay r_h = sigmoid(3h/H + 2) of head h = 0..H-1.

    The published code multiplies queries by r^s and keys by r^(-t), which overflows float32 after some 700 positions.
    Here the decay is ``log_decay`` = log r_h, which the attention op applies as a difference of positions.

    Args:
        head_dim: at least 2 an axis.
        num_heads: heads.
        permutation: per_head (a different one for each head, as in the original), shared (one for all heads), or fixed
            (one for all heads, layers and runs, as in the LRPE paper's baseline; with 64 features its cycles have the
            lengths 55, 4, 2, 2 and 1, so that positions 220 apart are encoded alike).
        decay: without it log_decay is None, as in the original's bidirectional models and the published image models.
        decay_direction: distance (r^|s-t|) or one_sided (r^(s-t), which grows for later keys: what the published code
            comes to in a bidirectional model). A causal model cannot tell them apart.
        ndim, axes: several position axes, see :class:`~lrpe.encodings.parts.permutation.Permutation`; the published
            image models have axes="shared". A decay needs ndim=1.
        seed: of the permutations; None takes one from torch's global generator. A fixed permutation has none.

    Raises:
        ValueError: an unknown choice, a decay with ndim > 1, or a seed for the fixed permutation.
    """

    _log_decay: Tensor | None

    def __init__(
        self,
        head_dim: int,
        num_heads: int,
        *,
        permutation: str = "per_head",
        decay: bool = True,
        decay_direction: str = "distance",
        ndim: int = 1,
        axes: str = "own",
        seed: int | None = None,
    ) -> None:
        super().__init__(head_dim, num_heads, ndim=ndim)
        check_choice("permutation", permutation, PERMUTATIONS)
        check_choice("decay_direction", decay_direction, ("distance", "one_sided"))
        if decay and ndim > 1:
            raise ValueError(f"decay=True is a function of a distance in sequence and needs ndim=1, got ndim={ndim}")
        if permutation == "fixed":
            if seed is not None:
                raise ValueError(f"seed={seed} has no effect on permutation='fixed'; leave it out, or use 'shared'")
            generator = torch.Generator().manual_seed(FIXED_SEED)
        else:
            generator = seeded_generator(seed, "permutation")
        self.permutation = Permutation(
            head_dim,
            num_heads if permutation == "per_head" else 1,
            ndim=ndim,
            axes=axes,
            generator=generator,
        )
        head = torch.arange(num_heads, dtype=torch.float64)
        log_decay = F.logsigmoid(3 * head / num_heads + 2).float() if decay else None
        self.register_buffer("_log_decay", log_decay, persistent=False)
        self.one_sided_decay = decay and decay_direction == "one_sided"

    @property
    def log_decay(self) -> Tensor | None:
        return self._log_decay

    @classmethod
    def image_options(cls, options: Mapping[str, Any], *, axes: str) -> dict[str, Any]:
        """Without decay, which is of a sequence (the published image models set its rate to 1)."""
        return {**super().image_options(options, axes=axes), "decay": False}

    @classmethod
    def unread_options(cls, options: Mapping[str, Any]) -> dict[str, str]:
        return {} if options["decay"] else {"decay_direction": "decay=true"}

    @classmethod
    def permutes(cls, options: Mapping[str, Any]) -> bool:
        return True

    def matrix(self, position: int | Sequence[int] | Tensor) -> Tensor:
        return self.permutation.matrix(self._position_tuple(position)).expand(self.num_heads, -1, -1)

    def _plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        return self.permutation.plan(positions, dtype)

    def _encode(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        return self.permutation(x, plan, in_place=False)

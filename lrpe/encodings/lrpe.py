"""Linearized relative positional encoding (Qin et al., TMLR 2023, arXiv 2307.09270)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lrpe.encodings.base import Encoding, Plan
from lrpe.encodings.parts.angles import Angles
from lrpe.encodings.parts.core import Core
from lrpe.encodings.parts.decay import build_log_decay
from lrpe.encodings.parts.permutation import Permutation
from lrpe.encodings.parts.projections import Householder, Identity, OddEven, build_projection
from lrpe.encodings.parts.rotation import Rotation
from lrpe.encodings.parts.seeding import seeded_generator
from lrpe.encodings.parts.unitary import Unitary
from lrpe.encodings.registry import register_encoding
from lrpe.ops.phases import Phases
from lrpe.ops.rotate import Turn, householder_rotate
from lrpe.validation import check_choice

CORES = ("orthogonal", "orthogonal_mixed", "unitary", "permutation")


@register_encoding("lrpe")
class LRPE(Encoding):
    """M_s = Lambda^(s) P with unitary P and Lambda^(s)^H Lambda^(t) = Lambda^(t-s).

    So <M_s q, M_t k> = <q, P^H Lambda^(t-s) P k> depends on t - s only, and attention stays linear in the length. The
    paper's leading P^H cancels in the product and is left out. Query and key share Lambda and P.

    Args:
        head_dim: even for the orthogonal cores, which rotate pairs.
        num_heads: heads.
        core: the family Lambda.

            - orthogonal: pairs of neighbors (x_2j, x_2j+1) rotated by s a_j (type 2)
            - orthogonal_mixed: the same on the first half of the features (rounded up to pairs), the rest untouched
            - unitary: features times exp(i s a_j), returned as concat(Re, Im): output_dim = 2 head_dim (type 1)
            - permutation: features permuted s times (type 3)
        projection: P: identity, householder, odd_even, dct, or dft (unitary core only).
        learn_angles: make the angles a parameter, which :meth:`no_weight_decay` names.
        learn_projection: make the Householder vector a parameter.
        angle_schedule: fixed angles, and where learned ones start: geometric, uniform, harmonic.
        max_length: the constant that scales the uniform and harmonic schedules, which need it; no limit of positions.
        decay: "none"; LRPE-d after the text of TransNormerLLM ("fixed") or after its code ("slopes").
        layer_fraction: l/L of the layer for the decay.
        share_heads: one set of angles, one permutation and one Householder vector for all heads, as in the paper.
            False: each head its own draw of the last two, and its own angles to learn (which start alike).
        ndim: dimensions of a position.
        axes: for ndim > 1: own, split or shared; see :class:`~lrpe.encodings.parts.angles.Angles` and
            :class:`~lrpe.encodings.parts.permutation.Permutation` (where own means split).
        seed: of the permutation and the Householder vector; None takes one from torch's global generator.

    Raises:
        ValueError: an unknown choice, or choices that do not fit each other.
    """

    _log_decay: Tensor | None

    def __init__(
        self,
        head_dim: int,
        num_heads: int,
        *,
        core: str = "orthogonal",
        projection: str = "identity",
        learn_angles: bool = False,
        learn_projection: bool = False,
        angle_schedule: str = "geometric",
        max_length: int | None = None,
        decay: str = "none",
        layer_fraction: float = 0.0,
        share_heads: bool = True,
        ndim: int = 1,
        axes: str = "own",
        seed: int | None = None,
    ) -> None:
        super().__init__(head_dim, num_heads, ndim=ndim)
        check_choice("core", core, CORES)
        if projection == "dft" and core != "unitary":
            raise ValueError(f"projection='dft' is complex and needs core='unitary', got core={core!r}")
        if ndim > 1 and decay != "none":
            raise ValueError(f"decay={decay!r} is a function of a distance in sequence and needs ndim=1, got {ndim}")
        heads = 1 if share_heads else num_heads
        self.projection = build_projection(projection, head_dim, heads, learned=learn_projection, seed=seed)
        if core == "permutation":
            if learn_angles:
                raise ValueError("learn_angles=True needs a core that has angles, got core='permutation'")
            generator = seeded_generator(seed, "permutation")
            self.core: Core = Permutation(head_dim, heads, ndim=ndim, axes=axes, generator=generator)
        else:
            angles = Angles(
                count_angles(core, head_dim),
                heads,
                ndim=ndim,
                axes=axes,
                schedule=angle_schedule,
                spread=2.0 if core == "unitary" else 1.0,
                max_length=max_length,
                learned=learn_angles,
            )
            if core == "unitary":
                self.core = Unitary(head_dim, angles, complex_input=self.projection.complex_output)
            else:
                self.core = Rotation(head_dim, angles)
        self.output_dim = self.core.output_dim
        self.register_buffer("_log_decay", build_log_decay(decay, num_heads, layer_fraction), persistent=False)

    @property
    def log_decay(self) -> Tensor | None:
        return self._log_decay

    @property
    def kernel_layout(self) -> str | None:
        plain = isinstance(self.projection, (Identity, Householder))
        if isinstance(self.core, Unitary):
            return "real" if plain else None
        if isinstance(self.core, Rotation):
            return "neighbors" if plain else "halves" if isinstance(self.projection, OddEven) else None
        return None

    def phases(self) -> Phases | None:
        layout = self.kernel_layout
        if layout is None:
            return None
        vector = self.projection.vector if isinstance(self.projection, Householder) else None
        assert isinstance(self.core, (Rotation, Unitary))  # the cores that have a layout
        return Phases(self.core.angles.linear_form(), vector, layout)

    def coordinates(self, query: Tensor, positions: Tensor | None, offset: int) -> Tensor:
        assert isinstance(self.core, (Rotation, Unitary))
        return self.core.angles.coordinates(self._resolve(query, positions, offset))

    @classmethod
    def unread_options(cls, options: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        householder, permutation = options.get("projection") == "householder", options.get("core") == "permutation"
        if permutation:
            found["angle_schedule"] = found["max_length"] = "a core with angles"
        elif options.get("angle_schedule") == "geometric":
            found["max_length"] = "angle_schedule=uniform and angle_schedule=harmonic"
        if not householder and not permutation:
            found["share_heads"] = "" if options.get("learn_angles") else "learn_angles=true"
            found["seed"] = "core=permutation and projection=householder"
        return {option: reader for option, reader in found.items() if reader and option in options}

    @classmethod
    def permutes(cls, options: Mapping[str, Any]) -> bool:
        return options.get("core") == "permutation"

    def matrix(self, position: int | Sequence[int] | Tensor) -> Tensor:
        core = self.core.matrix(self._position_tuple(position))
        projection = self.projection.matrix()
        if core.is_complex() or projection.is_complex():
            product = core.to(torch.complex128) @ projection.to(torch.complex128)
            product = torch.cat((product.real, product.imag), dim=-2)
        else:
            product = core @ projection
        return product.expand(self.num_heads, -1, -1)

    def _plan(self, positions: Tensor, dtype: torch.dtype) -> Plan:
        return self.core.plan(positions, dtype)

    def _encode(self, x: Tensor, plan: Plan, *, is_query: bool) -> Tensor:
        if isinstance(self.projection, Householder) and isinstance(plan, Turn) and plan.phase is not None:
            return householder_rotate(x, plan.angle, plan.phase, self.projection.unit(x.dtype))
        return self.core(self.projection(x), plan, in_place=self.projection.fresh)


def count_angles(core: str, head_dim: int) -> int:
    """Angles a core has for ``head_dim`` features: one a pair, or one a feature if unitary.

    Raises:
        ValueError: an odd head_dim where pairs are needed.
    """
    if core == "unitary":
        return head_dim
    if head_dim % 2:
        raise ValueError(f"head_dim must be even for core={core!r}, which rotates pairs of features; got {head_dim}")
    return head_dim // 2 if core == "orthogonal" else (head_dim // 2 + 1) // 2

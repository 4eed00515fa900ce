"""Every linear encoding x projection x angles x dimensions of a position, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from lrpe.encodings import Encoding, build_encoding
from lrpe.encodings.lrpe import CORES
from lrpe.encodings.parts.projections import PROJECTIONS
from lrpe.ops.native.build import is_available

HEADS = 2
HEAD_DIM = 12


@dataclass(frozen=True)
class Case:
    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        values = (
            f"{key}={value}" if isinstance(value, (bool, int)) else str(value) for key, value in self.options.items()
        )
        return "-".join((self.name, *values))

    @property
    def ndim(self) -> int:
        return self.options.get("ndim", 1)

    def build(self, head_dim: int = HEAD_DIM, num_heads: int = HEADS) -> Encoding:
        seed = {} if self.name in ("none", "rope") else {"seed": 3}
        return build_encoding(self.name, head_dim=head_dim, num_heads=num_heads, **seed, **self.options)


def lrpe_cases() -> list[Case]:
    cases = []
    for core in CORES:
        for projection in PROJECTIONS:
            if projection == "dft" and core != "unitary":
                continue
            options: dict[str, Any] = {"core": core, "projection": projection}
            cases.append(Case("lrpe", options))
            learn = {"learn_projection": projection == "householder", "learn_angles": core != "permutation"}
            if any(learn.values()):
                cases.append(Case("lrpe", {**options, **learn, "share_heads": False}))
            for axes in ("own", "split", "shared"):
                cases.append(Case("lrpe", {**options, "ndim": 2, "axes": axes}))
            cases.append(Case("lrpe", {**options, **learn, "ndim": 3, "axes": "own", "share_heads": False}))
        if core != "permutation":
            for schedule in ("uniform", "harmonic"):
                cases.append(Case("lrpe", {"core": core, "angle_schedule": schedule, "max_length": 32}))
    return cases


LINEAR = [
    Case("none"),
    Case("none", {"ndim": 2}),
    Case("rope"),
    *(Case("rope", {"ndim": 2, "axes": axes}) for axes in ("own", "split", "shared")),
    Case("permuteformer"),
    Case("permuteformer", {"permutation": "shared"}),
    *(Case("permuteformer", {"decay": False, "ndim": 2, "axes": axes}) for axes in ("own", "split", "shared")),
    *lrpe_cases(),
]
SPE = [
    Case("spe"),
    Case("spe", {"num_sines": 3, "num_realizations": 5, "gated": False}),
    Case("spe", {"kind": "conv", "kernel_size": 4}),
    Case("spe", {"kind": "conv", "kernel_size": 3, "num_realizations": 5, "gated": False}),
]
ALL = [*LINEAR, *SPE]
LEARNED = [case for case in LINEAR if case.options.get("learn_angles") or case.options.get("learn_projection")]


def random_vectors(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def random_positions(case: Case, *shape: int, low: int = -20, high: int = 60, seed: int = 1) -> Tensor:
    full = shape if case.ndim == 1 else (*shape, case.ndim)
    return torch.randint(low, high, full, generator=torch.Generator().manual_seed(seed))


def scores(query: Tensor, key: Tensor) -> Tensor:
    """<q_s, k_t> for all s and t: Float[batch heads length length]."""
    return query @ key.mT


def apply_matrices(encoding: Encoding, x: Tensor, positions: Tensor) -> Tensor:
    """The definition, token by token: M_s x in float64, for positions of a whole batch."""
    batch, _, length, _ = x.shape
    positions = positions.reshape(-1, length, encoding.ndim).expand(batch, -1, -1)
    rows = [
        torch.stack([encoding.matrix(positions[b, s]) @ x[b, :, s].double()[..., None] for s in range(length)], dim=1)
        for b in range(batch)
    ]
    return torch.stack(rows)[..., 0]


def skip_without_native_code() -> None:
    if not all(is_available(dtype) for dtype in (torch.float32, torch.float64)):
        pytest.skip("no C compiler here (cc, or what CC names)")
